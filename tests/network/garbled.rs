//! A proxy on the way that garbles answers to writes: what was written is never said not to be.

use secrets_testkit::servers::{OpenBao, Relay};
use secrets_testkit::web::{Fault, Harm, Request, Server};

use crate::sandbox::Sandbox;

/// The number of the secret that a request writes.
fn written(request: &Request) -> Option<usize> {
    if request.method != "POST" {
        return None;
    }
    request.path.rsplit_once("/N")?.1.parse().ok()
}

#[test]
fn a_push_whose_answers_are_garbled_on_the_way_tells_all_that_it_wrote() {
    let bao = OpenBao::start();
    let server = Server::plain(Relay::to(bao.address()));
    for (n, (what, harm)) in Harm::unreadable().into_iter().enumerate() {
        let sandbox = Sandbox::with_manifest(&format!(
            "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"hq\"]\n\
             [stores.hq]\nuri = \"vault:secret/garbled-{n}?layout=each\"\naddresses = [\"{}\"]\n",
            server.url()
        ));
        let lines: String = (0..40).map(|n| format!("N{n}=v{n}\n")).collect();
        sandbox.write(".env", &lines);
        sandbox.trust();
        server.heal();
        server.inject(Fault::always(harm).only(|request| written(request) >= Some(15)));
        let token = "root-token-of-the-tests";
        let run = |line| sandbox.secrets(line).env("VAULT_TOKEN", token).done();
        let done = run("push --yes");
        assert_eq!(done.status, 0, "{what}\n{}", done.err);
        done.says("40 secrets written to hq");
        let read = run("export --format dotenv --store hq");
        assert_eq!(read.text().lines().count(), 40, "{what}\n{}", read.err);
    }
}
