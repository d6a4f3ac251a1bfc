//! What goes over the wire, how often and where to: counted at the server.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use secrets_api::{Error, ErrorKind, Lookup, Name, Select};
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::web::{Authority, Fault, Harm, Reply, Request, Server};
use serde_json::json;
use support::{name, open, shown, store};

fn is_write(request: &Request) -> bool {
    request.method != "GET"
}

fn writes(azure: &Azure) -> usize {
    azure
        .log()
        .iter()
        .filter(|seen| seen.method != "GET")
        .count()
}

#[test]
fn a_thousand_secrets_are_read_by_forty_pages_and_a_thousand_requests() {
    let azure = Azure::start();
    for n in 0..1000 {
        azure.seed(&format!("SECRET-{n}"), n.to_string().as_bytes());
    }
    let store = store(&azure);
    let all = store.all().unwrap();
    assert_eq!(all.items.len(), 1000);
    for (name, lookup) in &all.items {
        let value = &lookup.as_ref().unwrap().found().unwrap().value;
        let number = name.as_str().strip_prefix("SECRET_").unwrap();
        assert_eq!(value.expose(), number.as_bytes());
    }
    let log = azure.log();
    let is_page = |target: &str| target.starts_with("/secrets?");
    assert_eq!(log.iter().filter(|seen| is_page(&seen.target)).count(), 40);
    assert_eq!(log.len(), 1040);
    assert_eq!(azure.login.log().len(), 1);
    assert!(azure.vault.most_under_way() <= 16);
    // One pool: a connection that is begun while another is given back may be one too many.
    let connections = azure.vault.connections();
    assert!(connections <= 2 * 16, "{connections}");
    // Values are asked for while the list goes on: the two do not add up.
    let first_value = log.iter().position(|seen| !is_page(&seen.target)).unwrap();
    let last_page = log.iter().rposition(|seen| is_page(&seen.target)).unwrap();
    assert!(
        first_value < 5 && last_page > 100,
        "{first_value} {last_page}"
    );
}

#[test]
fn twenty_names_are_twenty_requests_two_deep_and_one_for_a_token() {
    let azure = Azure::start();
    let names: Vec<Name> = (0..20).map(|n| name(&format!("N{n}"))).collect();
    for name in &names {
        azure.seed(name.as_str(), b"v");
    }
    // Slow enough for all that may be under way at once to be so.
    let wait = Duration::from_millis(300);
    azure.inject(Fault::always(Harm::Latency(wait)));
    let store = store(&azure);
    let read = store
        .run(store.provider.read(&store.cx(), Select::Names(&names)))
        .unwrap();
    assert!(
        read.items
            .iter()
            .all(|(_, lookup)| lookup.as_ref().unwrap().found().is_some())
    );
    // Sixteen and then four; no challenge is asked for.
    assert_eq!(azure.log().len(), 20);
    assert_eq!(azure.vault.most_under_way(), 16);
    assert_eq!(azure.login.log().len(), 1);
}

#[test]
fn a_read_that_fails_is_sent_once() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let store = store(&azure);
    let busy = Reply::json(
        429,
        &json!({"error": {"code": "Throttled", "message": "canary"}}),
    )
    .with_header("Retry-After", "7");
    for (harm, kind) in [
        (Harm::Answer(Reply::empty(500)), ErrorKind::Unavailable),
        (Harm::Answer(Reply::empty(503)), ErrorKind::Unavailable),
        (Harm::Answer(busy), ErrorKind::RateLimited),
        (Harm::DropBefore, ErrorKind::Unavailable),
        (Harm::DropAfter, ErrorKind::Unavailable),
    ] {
        azure.vault.heal();
        azure.vault.forget();
        azure.inject(Fault::always(harm.clone()));
        for error in [store.look("A").unwrap_err(), store.all().unwrap_err()] {
            assert_eq!(error.kind(), kind, "{harm:?}");
            assert_eq!(error.store(), Some("azure:shop"));
            let after = (kind == ErrorKind::RateLimited).then(|| Duration::from_secs(7));
            assert_eq!(error.retry_after(), after);
            assert!(!shown(&error).contains("canary"));
        }
        assert_eq!(azure.log().len(), 2, "{harm:?}");
    }
}

#[test]
fn a_write_whose_answer_is_lost_or_unreadable_is_of_unknown_outcome_and_not_sent_again() {
    let lost = [
        (Harm::DropBefore, false),
        (Harm::DropAfter, true),
        (Harm::Answer(Reply::empty(500)), false),
        (Harm::Answer(Reply::json(200, &json!("<html>"))), false),
    ];
    let unreadable = Harm::unreadable().into_iter().map(|(_, harm)| (harm, true));
    for (harm, happens) in lost.into_iter().chain(unreadable) {
        let azure = Azure::start();
        let store = store(&azure);
        store.put("A", "old").unwrap();
        azure.vault.forget();
        azure.inject(Fault::once(harm.clone()).only(is_write));
        let error = store.put("A", "canary-value").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{harm:?}");
        assert!(!shown(&error).contains("canary-value"));
        assert_eq!(writes(&azure), 1, "{harm:?}");
        let now = azure.value("A").unwrap();
        assert_eq!(now == b"canary-value", happens, "{harm:?}");

        azure.vault.forget();
        azure.inject(Fault::once(harm.clone()).only(is_write));
        let error = store.delete("A").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{harm:?}");
        assert_eq!(writes(&azure), 1, "{harm:?}");
        assert_eq!(azure.value("A").is_none(), happens, "{harm:?}");

        if happens {
            azure.vault.forget();
            azure.inject(Fault::once(harm.clone()).only(is_write));
            let restored = store.restore("A");
            // What was brought back is looked at: an answer that arrives, whatever it says, does no harm.
            if !matches!(harm, Harm::AnswerAfter(_)) {
                assert_eq!(restored.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
            }
            assert_eq!(writes(&azure), 1);
            assert!(azure.value("A").is_some());
        }
    }
}

#[test]
fn each_change_of_a_batch_has_its_own_outcome() {
    let azure = Azure::start();
    let store = store(&azure);
    azure.inject(Fault::once(Harm::DropAfter).only(|request| request.path.ends_with("/B")));
    azure.inject(
        Fault::once(Harm::Answer(Reply::empty(429))).only(|request| request.path.ends_with("/C")),
    );
    let value = secrets_api::SecretValue::from_slice(b"v");
    let names = [name("A"), name("B"), name("C")];
    let changes: Vec<_> = names
        .iter()
        .map(|name| secrets_api::Change {
            name,
            op: secrets_api::Op::Put(&value),
            when: secrets_api::Precondition::Unguarded,
        })
        .collect();
    let written = store
        .run(store.provider.write(&store.cx(), None, &changes))
        .unwrap();
    let kinds: Vec<_> = written
        .items
        .iter()
        .map(|item| item.as_ref().err().map(|error| error.kind()))
        .collect();
    let expected = [
        None,
        Some(ErrorKind::OutcomeUnknown),
        Some(ErrorKind::RateLimited),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(writes(&azure), 3);
}

#[test]
fn a_write_for_which_no_token_is_had_is_known_not_to_have_been_sent() {
    let azure = Azure::start();
    azure.login.inject(Fault::always(Harm::DropBefore));
    let store = store(&azure);
    let error = store.put("A", "v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(azure.log().is_empty());
    assert_eq!(azure.login.log().len(), 1);
}

#[test]
fn sixteen_calls_wait_for_one_login_and_fail_with_it() {
    let azure = Azure::start();
    azure
        .login
        .inject(Fault::always(Harm::Answer(Reply::empty(503))));
    let store = store(&azure);
    let names: Vec<Name> = (0..16).map(|n| name(&format!("N{n}"))).collect();
    let error = store
        .run(store.provider.read(&store.cx(), Select::Names(&names)))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(azure.login.log().len(), 1);
    // The next call asks again.
    azure.login.heal();
    assert!(matches!(store.look("A").unwrap(), Lookup::Absent));
    // The same where the vault refuses the token of sixteen writes, each of which then wants another.
    azure.revoke_tokens();
    azure.login.forget();
    let busy = Harm::Answer(Reply::empty(503));
    azure.login.inject(Fault::always(busy));
    let value = secrets_api::SecretValue::from_slice(b"v");
    let changes: Vec<_> = names
        .iter()
        .map(|name| secrets_api::Change {
            name,
            op: secrets_api::Op::Put(&value),
            when: secrets_api::Precondition::Unguarded,
        })
        .collect();
    let error = store
        .run(store.provider.write(&store.cx(), None, &changes))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(azure.login.log().len(), 1);
    assert!(azure.ids().is_empty());
}

#[test]
fn a_vault_that_is_not_there_is_told_at_once_and_one_that_is_silent_in_time() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    // A token is had: it is the vault that does not answer.
    let azure = Azure::start();
    let at = |port: u16, timeout: u64| {
        let mut opening = azure.opening();
        opening.addresses = vec![format!("https://localhost:{port}")];
        open("azure:shop", &opening).within(Duration::from_millis(timeout))
    };
    let unavailable = |error: Error, started: Instant, most: u64| {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(started.elapsed() < Duration::from_secs(most));
        assert!(error.hint().unwrap().contains("address"));
    };
    let started = Instant::now();
    let store = at(closed, 10_000);
    unavailable(store.look("A").unwrap_err(), started, 2);
    unavailable(store.put("A", "v").unwrap_err(), started, 2);
    // A connection that does not come about within three seconds: the write was not sent.
    let started = Instant::now();
    unavailable(
        at(silent_port, 10_000).put("A", "v").unwrap_err(),
        started,
        6,
    );
    let started = Instant::now();
    let error = at(silent_port, 500).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_write_that_is_not_answered_in_time_is_of_unknown_outcome() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "old").unwrap();
    azure.vault.forget();
    azure.inject(Fault::always(Harm::Latency(Duration::from_secs(20))).only(is_write));
    let store = store.within(Duration::from_millis(700));
    let started = Instant::now();
    let error = store.put("A", "new").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(writes(&azure), 1);
}

/// A server of somebody else's, with a certificate that is trusted.
fn elsewhere(authority: &Authority) -> Server {
    Server::over_tls(
        |_: &Request| Reply::json(200, &json!({"value": [], "nextLink": null})),
        authority,
        &[],
    )
}

#[test]
fn a_list_that_goes_on_elsewhere_gets_no_token_there() {
    let azure = Azure::start();
    for n in 0..30 {
        azure.seed(&format!("S{n}"), b"v");
    }
    let authority = Authority::new();
    let other = elsewhere(&authority);
    azure.lead_away(&other.url());
    let opening = azure.opening();
    let both = format!("{}{}", azure.pem(), authority.pem());
    std::fs::write(azure.ca(), both).unwrap();
    let store = open("azure:shop", &opening);
    for error in [
        store.all().unwrap_err(),
        store.run(store.provider.list(&store.cx())).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Untrusted);
    }
    assert_eq!(other.connections(), 0);
    assert!(other.log().is_empty());
}

#[test]
fn a_redirect_is_not_followed_and_gets_no_token() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let authority = Authority::new();
    let other = elsewhere(&authority);
    let opening = azure.opening();
    let both = format!("{}{}", azure.pem(), authority.pem());
    std::fs::write(azure.ca(), both).unwrap();
    let store = open("azure:shop", &opening);
    for status in [301, 302, 307, 308] {
        let to = Reply::empty(status).with_header("Location", format!("{}/secrets/A", other.url()));
        azure.inject(Fault::once(Harm::Answer(to.clone())));
        let error = store.look("A").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{status}");
        azure.login.inject(Fault::once(Harm::Answer(to)));
        azure.revoke_tokens();
        assert!(store.look("A").is_err());
        azure.login.heal();
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_vault_that_asks_for_another_kind_of_token_gets_none() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let store = store(&azure);
    assert!(store.get("A").unwrap().is_some());
    azure.revoke_tokens();
    azure.ask_for("https://management.azure.com");
    azure.login.forget();
    let error = store.look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(azure.login.log().is_empty());
}

#[test]
fn a_challenge_hides_no_other_audience_and_one_without_any_is_refused() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let store = store(&azure);
    assert!(store.get("A").unwrap().is_some());
    azure.login.forget();
    for challenge in [
        "Bearer x_scope=\"https://graph.microsoft.com/.default\"",
        "Bearer authorization=\"https://login.example.com\",\tresource=\"https://graph.microsoft.com\"",
        "Bearer resource=\"https://vault.azure.net\";resource=\"https://graph.microsoft.com\"",
        "Bearer SCOPE=\"https://graph.microsoft.com/.default\"",
        "Bearer resource=\"https://vault.azure.net.example.com\"",
        "Bearer resource=\"\"",
        "Bearer authorization=\"https://login.example.com\"",
        "Bearer resource=https://vault.azure.net",
        "Basic realm=\"vault\"",
    ] {
        let asks = Reply::empty(401).with_header("WWW-Authenticate", challenge);
        azure.inject(Fault::always(Harm::Answer(asks)));
        for error in [
            store.look("A").unwrap_err(),
            store.put("A", "v").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{challenge}");
        }
        // The SDK has seen none of it: it asks for no other token from now on.
        azure.vault.heal();
        assert_eq!(store.get("A").unwrap().unwrap(), "a", "{challenge}");
    }
    assert!(azure.login.log().is_empty());
}

#[test]
fn an_answer_is_read_up_to_its_bound_and_no_further() {
    let long = |document: &serde_json::Value| {
        let mut reply = Reply::json(200, document);
        reply.body.resize(9 * 1024 * 1024, b' ');
        Fault::always(Harm::Answer(reply))
    };
    let azure = Azure::start();
    let secret = json!({"id": format!("{}/secrets/A/1", azure.vault.url()), "value": "v"});
    azure.inject(long(&secret));
    let asked = store(&azure);
    assert_eq!(asked.look("A").unwrap_err().kind(), ErrorKind::InvalidData);
    let error = asked.put("A", "v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);

    azure.vault.heal();
    azure.vault.forget();
    let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": azure.token()});
    azure.login.inject(long(&token));
    let error = store(&azure).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("login"), "{error}");
    assert!(azure.log().is_empty());
}

#[test]
fn a_token_that_is_refused_is_replaced_once() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let store = store(&azure);
    assert!(store.get("A").unwrap().is_some());
    azure.revoke_tokens();
    azure.vault.forget();
    assert_eq!(store.get("A").unwrap().unwrap(), "a");
    assert_eq!(azure.log().len(), 2);
    assert_eq!(azure.login.log().len(), 2);
    // A refused write has had no effect: it is sent again with the new token, and applied once.
    azure.revoke_tokens();
    store.put("A", "b").unwrap();
    assert_eq!(azure.versions("A"), 2);
    // One that stays refused is not tried for ever.
    let body =
        json!({"error": {"code": "Unauthorized", "message": "AKV10032: Invalid issuer. canary"}});
    let refused = Reply::json(401, &body).with_header(
        "WWW-Authenticate",
        "Bearer resource=\"https://vault.azure.net\"",
    );
    azure.inject(Fault::always(Harm::Answer(refused)));
    azure.vault.forget();
    let error = store.look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().unwrap().contains("AZURE_TENANT_ID"));
    assert!(!shown(&error).contains("canary"));
    assert_eq!(azure.log().len(), 2);
}

#[test]
fn a_certificate_that_nobody_we_trust_has_signed_is_refused() {
    let azure = Azure::start();
    let opening = azure.opening();
    std::fs::write(azure.ca(), Authority::new().pem()).unwrap();
    let store = open("azure:shop", &opening);
    for error in [
        store.look("A").unwrap_err(),
        store.put("A", "v").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(error.hint().unwrap().contains("SSL_CERT_FILE"));
    }
    assert!(azure.log().is_empty() && azure.login.log().is_empty());
}

#[test]
fn a_server_that_is_no_vault_is_not_taken_for_an_empty_one() {
    let azure = Azure::start();
    azure.seed("A", b"a");
    let store = store(&azure);
    for (reply, kind) in [
        (Reply::empty(404), ErrorKind::Unexpected),
        (
            Reply::json(404, &json!({"error": {"code": "ResourceNotFound"}})),
            ErrorKind::Unexpected,
        ),
        (Reply::json(200, &json!([1, 2])), ErrorKind::InvalidData),
        (Reply::empty(200), ErrorKind::InvalidData),
        (
            Reply::json(200, &json!({"id": "https://x/secrets/A/1"})),
            ErrorKind::InvalidData,
        ),
        (
            Reply::json(400, &json!({"error": {"code": "BadParameter"}})),
            ErrorKind::Unexpected,
        ),
    ] {
        azure.inject(Fault::once(Harm::Answer(reply.clone())));
        let error = store.look("A").unwrap_err();
        assert_eq!(error.kind(), kind, "{reply:?}");
    }
}

#[test]
fn a_refusal_says_why_and_what_mends_it() {
    for (reason, hint) in [
        ("ForbiddenByRbac", "secrets doctor --policy"),
        ("ForbiddenByPolicy", "secrets doctor --policy"),
        (
            "ForbiddenByFirewall",
            "az keyvault network-rule add --name shop",
        ),
        ("ForbiddenByConnection", "private endpoint"),
    ] {
        let azure = Azure::start();
        azure.forbid("list", reason);
        azure.forbid("set", reason);
        let store = store(&azure);
        for error in [store.all().unwrap_err(), store.put("A", "v").unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{reason}");
            assert!(error.message().contains(reason));
            assert!(error.hint().unwrap().contains(hint), "{reason}");
        }
    }
}
