//! The independent `age` opens what we seal, and we open what it seals (and refuse it as signed by
//! nobody until it is accepted). `SECRETS_TEST_AGE` names the program; `scripts/test` installs it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, ProviderExt as _, SecretValue, StoreUri,
};
use secrets_local::{Folder, Identity};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

fn age(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let program = std::env::var("SECRETS_TEST_AGE")
        .expect("SECRETS_TEST_AGE names the age program: run scripts/test");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

#[test]
fn the_independent_age_and_we_open_each_others_files() {
    let identity = Identity::generate();
    let opening = TestOpening::new().with_identity(identity.to_secret().expose());
    let folder = Folder::new(&opening.root, &opening.dirs, Arc::clone(&opening.identity));
    folder.init("ada", None).unwrap();
    let uri = StoreUri::parse("local:").unwrap();
    let store = secrets_local::open(&opening.opening(&uri)).unwrap();
    let cx = Ctx::within(Duration::from_secs(5));
    let (name, value) = (
        Name::new("SECRET_KEY").unwrap(),
        SecretValue::from_slice("größer\n".as_bytes()),
    );
    block_on(store.write_one(
        &cx,
        Change {
            name: &name,
            op: Op::Put(&value),
            when: Precondition::Absent,
        },
    ))
    .unwrap();

    let key = opening.root.join("key");
    std::fs::write(&key, identity.to_secret().expose()).unwrap();
    let file = opening.root.join(".secrets/dev.age");
    let opened = age(
        &["-d", "-i", key.to_str().unwrap(), file.to_str().unwrap()],
        b"",
    );
    let opened = String::from_utf8(opened).unwrap();
    let (header, body) = opened.split_once('\n').unwrap();
    let header: serde_json::Value = serde_json::from_str(header).unwrap();
    assert_eq!(header["format"], "secrets-local/1");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body["secrets"]["SECRET_KEY"][0]["value"]["text"],
        "größer\n"
    );

    let body = serde_json::to_string(&body)
        .unwrap()
        .replace("größer", "planted");
    let sealed = age(&["-a", "-r", &identity.recipient()], body.as_bytes());
    std::fs::write(&file, sealed).unwrap();
    let error = block_on(store.read_one(&cx, &name)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.to_string().contains("signed by nobody"), "{error}");
    let review = folder.review("dev").unwrap();
    folder.accept("dev", review.digest()).unwrap();
    let found = block_on(store.read_one(&cx, &name))
        .unwrap()
        .into_found()
        .unwrap();
    assert_eq!(found.value.expose_text(), Some("planted\n"));
}
