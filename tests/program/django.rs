//! A real Django project under a real gunicorn, both from PyPI. `SECRETS_TEST_PYTHON` names the
//! Python that has them; `scripts/test` installs one. Without it the tests fail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{SECRETS, Sandbox};

const VIEWS: &str = "
import hashlib, os
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def key(request):
    return HttpResponse(hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest())

def visits(request):
    request.session['visits'] = request.session.get('visits', 0) + 1
    return HttpResponse(str(request.session['visits']))

urlpatterns = [path('key', key), path('visits', visits)]
";

fn python() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SECRETS_TEST_PYTHON").expect(
            "SECRETS_TEST_PYTHON names a Python with Django and gunicorn: run scripts/test",
        ),
    )
}

fn tool(name: &str) -> PathBuf {
    python().parent().unwrap().join(name)
}

/// A new project, as `django-admin startproject` makes it, taken over by `secrets init`.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    let admin = tool("django-admin");
    sandbox
        .command(admin.to_str().unwrap(), ["startproject", "shop", "."])
        .succeeds();
    sandbox.write("shop/urls.py", VIEWS);
    let settings = sandbox.read("shop/settings.py");
    // Sessions in files: no database has to be made first.
    let folder = sandbox.path("sessions");
    std::fs::create_dir(&folder).unwrap();
    let sessions = format!(
        "\nSESSION_ENGINE = 'django.contrib.sessions.backends.signed_cookies'\n# {}\n",
        folder.display()
    );
    sandbox.write("shop/settings.py", settings + &sessions);
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("SECRET_KEY moved from shop/settings.py");
    sandbox
        .secrets("set SECRET_KEY --generate --yes")
        .succeeds();
    sandbox
}

struct Server {
    child: Child,
    port: u16,
}

/// Starts gunicorn through `secrets exec`, on a port of the kernel's choosing.
fn start(sandbox: &Sandbox) -> Server {
    let mut child = Command::new(SECRETS)
        .args(["exec", "--"])
        .arg(tool("gunicorn"))
        .args([
            "shop.wsgi",
            "--bind",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--pid",
            "pid",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.home())
        .current_dir(sandbox.project())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let port = loop {
        let mut line = String::new();
        assert!(
            log.read_line(&mut line).unwrap() > 0,
            "gunicorn ended:\n{seen}"
        );
        seen.push_str(&line);
        if let Some(at) = line.find("Listening at: http://127.0.0.1:") {
            let rest = &line[at + "Listening at: http://127.0.0.1:".len()..];
            break rest.split(' ').next().unwrap().parse().unwrap();
        }
    };
    // The log has to be read on, or gunicorn would wait for us.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Server { child, port }
}

impl Server {
    /// One request; the whole answer.
    fn get(&self, path: &str, cookie: Option<&str>) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let cookie = cookie
            .map(|c| format!("Cookie: {c}\r\n"))
            .unwrap_or_default();
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: localhost\r\n{cookie}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(mut self) -> i32 {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        self.child
            .wait()
            .unwrap()
            .code()
            .expect("it ends by itself, not by the signal")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn sha256(sandbox: &Sandbox) -> String {
    let script = format!("{SECRETS} get SECRET_KEY --raw | sha256sum");
    sandbox.command("sh", ["-c", &script]).succeeds().text()[..64].to_owned()
}

#[test]
fn the_served_application_uses_the_stores_key_and_gunicorn_takes_our_place() {
    let sandbox = project();
    let server = start(&sandbox);
    assert_eq!(body(&server.get("/key", None)), sha256(&sandbox));
    let pid = std::fs::read_to_string(sandbox.path("pid")).unwrap();
    assert_eq!(
        pid.trim(),
        server.child.id().to_string(),
        "gunicorn's pid is the one of secrets exec"
    );
    let answer = server.get("/visits", None);
    let cookie = answer
        .lines()
        .find_map(|l| l.strip_prefix("Set-Cookie: "))
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(body(&answer), "1");
    assert_eq!(terminate(server), 0);
    let server = start(&sandbox);
    assert_eq!(
        body(&server.get("/visits", Some(&cookie))),
        "2",
        "the session survives a restart"
    );
    assert_eq!(terminate(server), 0);
}

fn terminate(server: Server) -> i32 {
    server.terminate()
}

#[test]
fn djangos_deployment_check_finds_nothing_wrong_with_the_key() {
    let sandbox = project();
    let python = python();
    let done = sandbox
        .secrets_with([
            "exec",
            "--",
            python.to_str().unwrap(),
            "manage.py",
            "check",
            "--deploy",
        ])
        .done();
    assert!(
        done.err.contains("security.W018"),
        "the check ran: {}",
        done.err
    );
    assert!(!done.err.contains("W009"), "{}", done.err);
    assert!(Path::new(&sandbox.path("manage.py")).exists());
}

#[test]
fn without_its_key_django_is_not_started() {
    let sandbox = project();
    sandbox.secrets("unset SECRET_KEY").succeeds();
    let python = python();
    let done = sandbox
        .secrets_with(["exec", "--", python.to_str().unwrap(), "manage.py", "check"])
        .ends(125);
    done.says("required in dev and missing: SECRET_KEY");
}
