use crate::support::Sandbox;

#[test]
fn a_django_key_has_fifty_characters_and_nothing_a_reader_misreads() {
    let sandbox = Sandbox::new();
    let key = sandbox.secrets("generate").succeeds().text();
    let key = key.strip_suffix('\n').unwrap();
    assert_eq!(key.len(), 50);
    assert!(
        key.chars()
            .all(|c| "abcdefghijklmnopqrstuvwxyz0123456789!@^*-_=+".contains(c)),
        "{key}"
    );
    assert!(key.starts_with(|c: char| c.is_ascii_alphanumeric()));
}

#[test]
fn as_many_as_asked_for_are_printed_and_no_two_are_alike() {
    let sandbox = Sandbox::new();
    let text = sandbox.secrets("generate hex -n 1000").succeeds().text();
    let lines: std::collections::BTreeSet<_> = text.lines().collect();
    assert_eq!(lines.len(), 1000);
    let json = sandbox
        .secrets("generate uuid -n 2 --json")
        .succeeds()
        .json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["values"].as_array().unwrap().len(), 2);
}

#[test]
fn every_kind_is_printed_and_named_in_the_help() {
    let sandbox = Sandbox::new();
    let help = sandbox.secrets("generate --help").succeeds().text();
    for kind in [
        "django",
        "password",
        "hex",
        "base64",
        "urlsafe",
        "uuid",
        "fernet",
        "passphrase",
    ] {
        assert!(help.contains(kind), "{kind}");
        let line = sandbox
            .secrets(&format!("generate {kind}"))
            .succeeds()
            .text();
        assert!(line.trim_end().len() >= 20, "{kind}: {line}");
    }
}

#[test]
fn weak_requests_are_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.secrets("generate --length 49").ends(2).says("50");
    sandbox
        .secrets("generate password --length 4")
        .ends(2)
        .says("hint:");
    sandbox.secrets("generate uuid --length 40").ends(2);
    sandbox.secrets("generate hex --alphabet django").ends(2);
    sandbox.secrets("generate -n 0").ends(2);
}

#[test]
fn a_wrong_kind_is_answered_with_the_nearest() {
    let sandbox = Sandbox::new();
    sandbox
        .secrets("generate djnago")
        .ends(2)
        .says("did you mean `django`?");
    sandbox
        .secrets("generate --alphabet portble")
        .ends(2)
        .says("did you mean `portable`?");
}
