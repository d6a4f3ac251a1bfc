//! What is particular to the keyring, in a real gnome-keyring: what other programs read of ours,
//! what we read of theirs, and the ways it is not to be had.
#![cfg(all(unix, not(target_os = "macos")))]
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrets_api::{
    Change, Ctx, Error, ErrorKind, Name, Op, Precondition, Provider, ProviderExt as _, SecretValue,
    Select, StoreUri,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use support::under_keyring;

fn open(uri: &str) -> Arc<dyn Provider> {
    secrets_keyring::open(&TestOpening::new().opening(&StoreUri::parse(uri).unwrap())).unwrap()
}

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(60))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn put(store: &dyn Provider, secret: &str, bytes: &[u8]) -> Result<(), Error> {
    let change = Change {
        name: &name(secret),
        op: Op::Put(&SecretValue::from_slice(bytes)),
        when: Precondition::Unguarded,
    };
    block_on(store.write_one(&cx(), change)).map(drop)
}

fn delete(store: &dyn Provider, secret: &str) -> Result<(), Error> {
    let change = Change {
        name: &name(secret),
        op: Op::Delete,
        when: Precondition::Unguarded,
    };
    block_on(store.write_one(&cx(), change)).map(drop)
}

fn read(store: &dyn Provider, secret: &str) -> Result<Option<Vec<u8>>, Error> {
    let found = block_on(store.read_one(&cx(), &name(secret)))?.into_found();
    Ok(found.map(|stored| stored.value.expose().to_vec()))
}

/// `secret-tool lookup`: what it prints, or `None` where it finds nothing.
fn lookup(attributes: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("secret-tool")
        .arg("lookup")
        .args(attributes)
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

/// `secret-tool store`.
fn store_with_tool(attributes: &[&str], value: &[u8]) {
    let mut tool = Command::new("secret-tool")
        .args(["store", "--label", "made by another program"])
        .args(attributes)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(value).unwrap();
    assert!(tool.wait().unwrap().success());
}

#[test]
fn secret_tool_reads_what_we_wrote_and_we_read_what_it_wrote() {
    let test = "secret_tool_reads_what_we_wrote_and_we_read_what_it_wrote";
    under_keyring(test, &[], || {
        let store = open("keyring:shop");
        put(&*store, "SECRET_KEY", "grün & 'quoted'\nline".as_bytes()).unwrap();
        let ours = ["service", "shop", "username", "SECRET_KEY"];
        assert_eq!(lookup(&ours).unwrap(), "grün & 'quoted'\nline".as_bytes());

        store_with_tool(
            &["service", "shop", "username", "TOKEN", "more", "x"],
            b"theirs",
        );
        assert_eq!(read(&*store, "TOKEN").unwrap().unwrap(), b"theirs");
        put(&*store, "TOKEN", b"ours").unwrap();
        let theirs = ["service", "shop", "username", "TOKEN", "more", "x"];
        assert_eq!(lookup(&theirs).unwrap(), b"ours", "the item was made anew");
        delete(&*store, "TOKEN").unwrap();
        assert_eq!(lookup(&theirs), None);
    });
}

#[test]
fn single_items_are_kept_and_removed_inside_a_runtime_and_outside() {
    let test = "single_items_are_kept_and_removed_inside_a_runtime_and_outside";
    under_keyring(test, &[], || {
        let round = |bytes: &[u8]| {
            let value = SecretValue::from_slice(bytes);
            assert!(
                secrets_keyring::get("secrets", "identity")
                    .unwrap()
                    .is_none()
            );
            assert!(!secrets_keyring::delete("secrets", "identity").unwrap());
            secrets_keyring::set("secrets", "identity", &value).unwrap();
            let found = secrets_keyring::get("secrets", "identity").unwrap();
            assert!(found.unwrap().same_as(&value));
            assert!(secrets_keyring::delete("secrets", "identity").unwrap());
        };
        round(b"AGE-SECRET-KEY-1");
        block_on(async { round(&[0, 0xff, b'\n']) });
        let long = SecretValue::from_slice(&[b'x'; 64 * 1024 + 1]);
        let refused = secrets_keyring::set("secrets", "identity", &long).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn what_is_no_secret_of_ours_is_foreign_and_stays() {
    let test = "what_is_no_secret_of_ours_is_foreign_and_stays";
    under_keyring(test, &[], || {
        let store = open("keyring:shop");
        store_with_tool(&["service", "shop", "username", "jane@example.org"], b"a");
        store_with_tool(&["service", "shop", "purpose", "none"], b"b");
        store_with_tool(&["service", "other", "username", "KEY"], b"c");
        put(&*store, "KEY", b"d").unwrap();
        let all = block_on(store.read(&cx(), Select::All)).unwrap();
        let names: Vec<_> = all.items.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["KEY"]);
        let mut foreign = all.foreign;
        foreign.sort();
        assert_eq!(foreign, ["jane@example.org", "made by another program"]);
        delete(&*store, "KEY").unwrap();
        assert_eq!(
            lookup(&["service", "shop", "username", "jane@example.org"]).unwrap(),
            b"a"
        );
        let report = block_on(store.inspect(&cx())).unwrap();
        assert!(report.facts.contains(&("items".to_owned(), "2".to_owned())));
    });
}

#[test]
fn two_items_of_one_name_are_an_error_and_neither_is_touched() {
    let test = "two_items_of_one_name_are_an_error_and_neither_is_touched";
    under_keyring(test, &[], || {
        let store = open("keyring:shop");
        let twins = [
            ["service", "shop", "username", "KEY", "which", "1"],
            ["service", "shop", "username", "KEY", "which", "2"],
        ];
        store_with_tool(&twins[0], b"one");
        store_with_tool(&twins[1], b"two");
        put(&*store, "FINE", b"x").unwrap();
        for error in [
            read(&*store, "KEY").unwrap_err(),
            put(&*store, "KEY", b"three").unwrap_err(),
            delete(&*store, "KEY").unwrap_err(),
            secrets_keyring::get("shop", "KEY").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert!(error.hint().is_some());
        }
        let all = block_on(store.read(&cx(), Select::All)).unwrap();
        for (found, lookup) in all.items {
            assert_eq!(lookup.is_err(), found.as_str() == "KEY", "{found}");
        }
        assert_eq!(block_on(store.list(&cx())).unwrap().len(), 2);
        assert_eq!(lookup(&twins[0]).unwrap(), b"one");
        assert_eq!(lookup(&twins[1]).unwrap(), b"two");
    });
}

#[test]
fn a_list_tells_when_an_item_was_written() {
    under_keyring("a_list_tells_when_an_item_was_written", &[], || {
        let store = open("keyring:shop");
        put(&*store, "KEY", b"x").unwrap();
        let (_, meta) = block_on(store.list(&cx())).unwrap().pop().unwrap();
        let age = secrets_api::Timestamp::now().as_second() - meta.modified.unwrap().as_second();
        assert!((0..60).contains(&age), "{age} s");
        assert_eq!(meta.version, None);
    });
}

/// How many connections there have been to the bus: it numbers them, this question's included.
fn connections() -> u32 {
    let output = Command::new("dbus-send")
        .args(["--session", "--print-reply", "--dest=org.freedesktop.DBus"])
        .args(["/", "org.freedesktop.DBus.GetId"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, own) = text.split_once("-> destination=:1.").unwrap();
    let digits: String = own.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_batch_takes_one_connection() {
    under_keyring("a_batch_takes_one_connection", &[], || {
        let store = open("keyring:shop");
        let names: Vec<_> = (0..20).map(|n| name(&format!("KEY_{n}"))).collect();
        let value = SecretValue::from_slice(&[b'x'; 50]);
        let changes: Vec<_> = names
            .iter()
            .map(|name| Change {
                name,
                op: Op::Put(&value),
                when: Precondition::Unguarded,
            })
            .collect();
        let takes_one = |batch: &str, run: &dyn Fn()| {
            let (before, start) = (connections(), Instant::now());
            run();
            let took = start.elapsed();
            // One for the batch, one for the second question.
            assert_eq!(connections() - before, 2, "{batch}, in {took:?}");
        };
        takes_one("20 written", &|| {
            for item in block_on(store.write(&cx(), None, &changes)).unwrap().items {
                item.unwrap();
            }
        });
        takes_one("20 read", &|| {
            let snapshot = block_on(store.read(&cx(), Select::Names(&names))).unwrap();
            assert!(
                snapshot
                    .items
                    .iter()
                    .all(|(_, item)| item.as_ref().unwrap().found().is_some())
            );
        });
        takes_one("all read", &|| {
            let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
            assert_eq!(snapshot.items.len(), 20);
        });
        takes_one("all listed", &|| {
            assert_eq!(block_on(store.list(&cx())).unwrap().len(), 20);
        });
    });
}

#[test]
fn a_keyring_without_a_collection_holds_nothing_and_takes_nothing() {
    let test = "a_keyring_without_a_collection_holds_nothing_and_takes_nothing";
    under_keyring(test, &["--no-collection"], || {
        let store = open("keyring:shop");
        assert_eq!(read(&*store, "SECRET_KEY").unwrap(), None);
        assert!(block_on(store.list(&cx())).unwrap().is_empty());
        delete(&*store, "SECRET_KEY").unwrap();
        block_on(store.inspect(&cx())).unwrap();
        let error = put(&*store, "SECRET_KEY", b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("no default collection"), "{error}");
        assert!(error.hint().is_some());
    });
}

/// Sends `signal` to the keyring that answers on this bus: the one the script has started.
fn signal_keyring(signal: &str) {
    let output = Command::new("dbus-send")
        .args(["--session", "--print-reply=literal"])
        .args(["--dest=org.freedesktop.DBus", "/"])
        .arg("org.freedesktop.DBus.GetConnectionUnixProcessID")
        .arg("string:org.freedesktop.secrets")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let process = text.split_whitespace().last().unwrap();
    let sent = Command::new("kill").args([signal, process]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_keyring_that_hangs_is_left_in_time() {
    under_keyring("a_keyring_that_hangs_is_left_in_time", &[], || {
        let store = open("keyring:shop");
        put(&*store, "KEY", b"before").unwrap();
        signal_keyring("-STOP");
        let start = Instant::now();
        let soon = Ctx::within(Duration::from_millis(200));
        let read_late = block_on(store.read_one(&soon, &name("KEY"))).unwrap_err();
        let value = SecretValue::from_slice(b"after");
        let change = Change {
            name: &name("KEY"),
            op: Op::Put(&value),
            when: Precondition::Unguarded,
        };
        let soon = Ctx::within(Duration::from_millis(200));
        let write_late = block_on(store.write_one(&soon, change)).unwrap_err();
        let took = start.elapsed();
        signal_keyring("-CONT");
        for error in [read_late, write_late] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(error.message().contains("did not answer"), "{error}");
        }
        assert!(took < Duration::from_secs(10), "{took:?}");
        // Nothing had been sent: that is why it is not said to be unknown.
        assert_eq!(read(&*store, "KEY").unwrap().unwrap(), b"before");
    });
}

/// Every question and every change; the errors they all come to.
fn refusals() -> Vec<Error> {
    let start = Instant::now();
    let store = open("keyring:shop");
    let value = SecretValue::from_slice(b"canary");
    let mut errors = vec![
        read(&*store, "SECRET_KEY").unwrap_err(),
        read(&*store, "NEVER_THERE").unwrap_err(),
        block_on(store.read(&cx(), Select::All)).unwrap_err(),
        block_on(store.list(&cx())).unwrap_err(),
        block_on(store.inspect(&cx())).unwrap_err(),
        put(&*store, "SECRET_KEY", b"canary").unwrap_err(),
        put(&*store, "NEVER_THERE", b"canary").unwrap_err(),
        delete(&*store, "SECRET_KEY").unwrap_err(),
        delete(&*store, "NEVER_THERE").unwrap_err(),
    ];
    // A service nobody has heard of: even so, nothing can be said to be absent.
    let other = open("keyring:other");
    errors.push(block_on(other.list(&cx())).unwrap_err());
    errors.push(secrets_keyring::get("secrets", "identity").unwrap_err());
    errors.push(secrets_keyring::set("secrets", "identity", &value).unwrap_err());
    errors.push(secrets_keyring::delete("secrets", "identity").unwrap_err());
    assert!(start.elapsed() < Duration::from_secs(10), "it waited");
    for error in &errors {
        assert!(!format!("{error:?}").contains("canary"));
    }
    errors
}

fn all_are(kind: ErrorKind, message: &str, hint: &str) {
    for (n, error) in refusals().into_iter().enumerate() {
        assert_eq!(error.kind(), kind, "{n}: {error}");
        assert!(error.message().contains(message), "{n}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{n}: {error}");
    }
}

#[test]
fn a_locked_keyring_is_an_error_and_never_absence() {
    let test = "a_locked_keyring_is_an_error_and_never_absence";
    under_keyring(test, &["--locked"], || {
        all_are(ErrorKind::Unauthenticated, "is locked", "unlock it");
    });
}

#[test]
fn a_bus_without_a_keyring_is_an_error_and_never_absence() {
    let test = "a_bus_without_a_keyring_is_an_error_and_never_absence";
    under_keyring(test, &["--no-provider"], || {
        all_are(
            ErrorKind::Unavailable,
            "no program on the session bus",
            "gnome-keyring",
        );
    });
}

#[test]
fn a_missing_bus_is_an_error_and_never_absence() {
    let test = "a_missing_bus_is_an_error_and_never_absence";
    under_keyring(test, &["--no-bus"], || {
        all_are(
            ErrorKind::Unavailable,
            "there is no session bus",
            "SECRETS_IDENTITY_FILE",
        );
    });
}
