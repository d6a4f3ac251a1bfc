//! What goes over the wire, counted at the server, and what the service answers where moto does not:
//! denials, throttling, paging, partial batches. The answers are those of the API reference.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrets_api::{ErrorKind, Lookup, Op, Precondition, Select};
use secrets_testkit::block_on;
use secrets_testkit::canary::Canary;
use secrets_testkit::servers::Relay;
use secrets_testkit::web::{App, Authority, Fault, Harm, Reply, Request, Server};
use serde_json::{Value, json};
use support::{
    Moto, Store, always, call, cx, entry, fresh, name, ok, opening, refusal, store, store_with,
    text, value,
};

fn read(store: &Store, names: &[secrets_api::Name]) -> Vec<secrets_api::Result<Lookup>> {
    let snapshot = block_on(store.provider.read(&cx(), Select::Names(names))).unwrap();
    snapshot
        .items
        .into_iter()
        .map(|(_, lookup)| lookup)
        .collect()
}

/// Nothing of an error, in whatever form it is shown, holds the planted value.
fn shows_nothing(error: &secrets_api::Error) {
    let shown = format!("{error} {error:?} {error:#?} {:?}", error.hint());
    assert_eq!(Canary::of_this_process().found_in(shown.as_bytes()), None);
}

#[test]
fn no_put_goes_out_without_a_token_and_a_private_stage_which_is_dropped_in_the_end() {
    let moto = Moto::start();
    let forward = Relay::to(&moto.url());
    let sent: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let seen = Arc::clone(&sent);
    let server = Server::plain(move |request: &Request| {
        let what = (call(request).to_owned(), request.json().unwrap());
        seen.lock().unwrap().push(what);
        forward.answer(request)
    });
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:{}{options}", fresh("stages")));
        for text in ["1", "2", ""] {
            store.put("A", text, Precondition::Unguarded).unwrap();
        }
        let version = store
            .look("A")
            .unwrap()
            .into_found()
            .unwrap()
            .meta
            .version
            .unwrap();
        store
            .put("A", "3", Precondition::Version(version.clone()))
            .unwrap();
        let stale = store
            .put("A", "4", Precondition::Version(version))
            .unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        store
            .change(&cx(), "A", Op::Delete, Precondition::Unguarded)
            .unwrap();
        store.put("A", "5", Precondition::Absent).unwrap();
        assert_eq!(store.text("A").as_deref(), Some("5"));
    }
    let sent = sent.lock().unwrap();
    let of = |wanted: &'static str| {
        let calls = sent.iter().filter(move |(call, _)| call == wanted);
        calls.map(|(_, body)| body)
    };
    // UpdateSecret moves AWSCURRENT without a condition.
    assert_eq!(of("UpdateSecret").count(), 0);
    // The first of each layout is a creation; the deletion in a document is a put.
    assert_eq!(of("PutSecretValue").count(), 9);
    for put in of("PutSecretValue") {
        let stages = put["VersionStages"].as_array().unwrap();
        let [stage] = stages.as_slice() else {
            panic!("{stages:?}");
        };
        assert!(stage.as_str().unwrap().starts_with("secrets-"), "{stage}");
        let token = put["ClientRequestToken"].as_str().unwrap();
        assert!((32..=64).contains(&token.len()), "{token}");
        let dropped = of("UpdateSecretVersionStage").any(|update| {
            update["VersionStage"] == *stage
                && update["RemoveFromVersionId"] == token
                && update["MoveToVersionId"].is_null()
        });
        assert!(dropped, "{stage} is left");
    }
    for update in of("UpdateSecretVersionStage") {
        let moves = update["VersionStage"] == "AWSCURRENT";
        assert!(
            !moves || update["RemoveFromVersionId"].is_string(),
            "moved without a condition"
        );
    }
}

#[test]
fn every_call_is_sent_once_whatever_becomes_of_it() {
    for reply in [
        refusal(500, "InternalServiceError", ""),
        refusal(400, "ThrottlingException", "Rate exceeded"),
        Reply::empty(503),
        refusal(400, "ExpiredTokenException", ""),
        Reply::json(200, &json!("nonsense")),
    ] {
        let server = Server::plain(always(reply));
        for options in ["", "?layout=each"] {
            let store = store(&server.url(), &format!("aws:shop{options}"));
            server.forget();
            assert!(store.look("A").is_err());
            assert_eq!(server.log().len(), 1, "a read, {options}");
            server.forget();
            assert!(store.put("A", "1", Precondition::Absent).is_err());
            assert_eq!(server.log().len(), 1, "a write, {options}");
        }
    }
}

#[test]
fn a_document_is_one_request_however_many_secrets_it_holds() {
    let fields: serde_json::Map<String, Value> = (0..20)
        .map(|n| (format!("N{n}"), json!(n.to_string())))
        .collect();
    let document = Value::Object(fields).to_string();
    let server = Server::plain(always(ok(&entry("shop", &document))));
    let store = store(&server.url(), "aws:shop");
    let names: Vec<_> = (0..20).map(|n| name(&format!("N{n}"))).collect();
    let found = read(&store, &names);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(n, l)| text(l) == Some(n.to_string().as_str()))
    );
    assert_eq!((server.log().len(), server.connections()), (1, 1));
}

/// Holds secrets `shop/N0` to `shop/N…`, answers batches, pages by `page`.
fn shelf(count: usize, page: usize) -> impl App {
    move |request: &Request| {
        let body = request.json().unwrap();
        assert_eq!(call(request), "BatchGetSecretValue");
        let wanted: Vec<String> = match body["SecretIdList"].as_array() {
            Some(ids) => ids
                .iter()
                .map(|id| id.as_str().unwrap().to_owned())
                .collect(),
            None => {
                assert_eq!(
                    body["Filters"],
                    json!([{ "Key": "name", "Values": ["shop/"] }])
                );
                (0..count).map(|n| format!("shop/N{n}")).collect()
            }
        };
        assert!(body["SecretIdList"].is_null() || wanted.len() <= 20);
        let from: usize = body["NextToken"]
            .as_str()
            .map_or(0, |token| token.parse().unwrap());
        let to = wanted.len().min(from + page);
        let there =
            |id: &&String| id.strip_prefix("shop/N").unwrap().parse::<usize>().unwrap() < count;
        let found: Vec<Value> = wanted[from..to]
            .iter()
            .filter(there)
            .map(|id| entry(id, id))
            .collect();
        let missed: Vec<Value> = wanted[from..to]
            .iter()
            .filter(|id| !there(id))
            .map(|id| json!({ "SecretId": id, "ErrorCode": "ResourceNotFoundException" }))
            .collect();
        let next = (to < wanted.len()).then(|| to.to_string());
        ok(&json!({ "SecretValues": found, "Errors": missed, "NextToken": next }))
    }
}

#[test]
fn single_secrets_are_read_by_twenty_and_the_batches_at_once() {
    let server = Server::plain(shelf(1000, 20));
    server.inject(Fault::always(Harm::Latency(Duration::from_millis(20))));
    let store = store(&server.url(), "aws:shop?layout=each");
    let names: Vec<_> = (0..1002).map(|n| name(&format!("N{n}"))).collect();
    let found = read(&store, &names);
    assert!(
        found[..1000]
            .iter()
            .enumerate()
            .all(|(n, l)| text(l) == Some(&format!("shop/N{n}")))
    );
    assert!(
        found[1000..]
            .iter()
            .all(|l| matches!(l, Ok(Lookup::Absent)))
    );
    assert_eq!(server.log().len(), 51);
    assert_eq!(server.most_under_way(), 16);
    server.heal();
    server.forget();
    let all = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    assert_eq!((all.items.len(), server.log().len()), (1000, 50));
}

#[test]
fn pages_are_followed_to_their_end() {
    let server = Server::plain(shelf(30, 7));
    let store = store(&server.url(), "aws:shop?layout=each");
    let names: Vec<_> = (0..20).map(|n| name(&format!("N{n}"))).collect();
    assert!(
        read(&store, &names)
            .iter()
            .all(|lookup| text(lookup).is_some())
    );
    assert_eq!(server.log().len(), 3);
    let all = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    assert_eq!(all.items.len(), 30);
}

#[test]
fn where_batches_are_denied_secrets_are_read_one_by_one_and_no_batch_is_asked_for_again() {
    let app = |request: &Request| match call(request) {
        "GetSecretValue" => {
            let body = request.json().unwrap();
            let id = body["SecretId"].as_str().unwrap();
            assert_eq!(body["VersionStage"], "AWSCURRENT");
            ok(&entry(id, id))
        }
        "ListSecrets" => {
            let token = request.json().unwrap()["NextToken"]
                .as_str()
                .map(str::to_owned);
            let (name, next) = match token.as_deref() {
                None => ("shop/A", Some("2")),
                _ => ("shop/B", None),
            };
            ok(&json!({ "SecretList": [{ "Name": name }], "NextToken": next }))
        }
        _ => refusal(400, "AccessDeniedException", "not authorized"),
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let names = [name("A"), name("B"), name("C")];
    for (asked, requests) in [("first", 4), ("again", 3)] {
        server.forget();
        let found = read(&store, &names);
        assert_eq!(
            found.iter().map(text).collect::<Vec<_>>(),
            [Some("shop/A"), Some("shop/B"), Some("shop/C")]
        );
        assert_eq!(server.log().len(), requests, "{asked}");
    }
    let all = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    let all: Vec<_> = all
        .items
        .iter()
        .map(|(name, _)| name.as_str().to_owned())
        .collect();
    assert_eq!(all, ["A", "B"]);
}

#[test]
fn what_a_batch_misses_is_told_secret_by_secret() {
    let app = |request: &Request| match call(request) {
        "BatchGetSecretValue" => ok(&json!({
            "SecretValues": [entry("shop/A", "a"), entry("shop/1-is-no-name", "x"), entry("shopping/X", "x")],
            "Errors": [
                { "SecretId": "shop/B", "ErrorCode": "AccessDeniedException",
                  "Message": "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: secretsmanager:GetSecretValue" },
                { "SecretId": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/C-AbCdEf", "ErrorCode": "DecryptionFailure" },
                { "SecretId": "shop/D", "ErrorCode": "InvalidRequestException", "Message": "marked deleted" },
                { "SecretId": "shop/E", "ErrorCode": "ResourceNotFoundException" },
            ],
        })),
        "DescribeSecret" => ok(&json!({
            "DeletedDate": 1_800_000_000.0,
            "VersionIdsToStages": { "0b9f5c6e-0000-4000-8000-000000000001": ["AWSCURRENT"] },
        })),
        "GetSecretValue" => ok(&entry("shop/F", "f")),
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let names = ["A", "B", "C", "D", "E", "F"].map(name);
    let found = read(&store, &names);
    assert_eq!(text(&found[0]), Some("a"));
    let denied = found[1].as_ref().unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert_eq!(denied.name(), Some(&names[1]));
    assert!(
        denied
            .message()
            .contains("user/ci may not do secretsmanager:GetSecretValue")
    );
    assert_eq!(
        found[2].as_ref().unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    let Ok(Lookup::Deleted {
        recoverable_until: Some(until),
        ..
    }) = &found[3]
    else {
        panic!("it is not told as deleted");
    };
    assert_eq!(until.as_second(), 1_800_000_000);
    assert!(matches!(found[4], Ok(Lookup::Absent)));
    assert_eq!(
        text(&found[5]),
        Some("f"),
        "what was not answered for is asked by itself"
    );
    let all = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    let told: Vec<_> = all
        .items
        .iter()
        .map(|(name, _)| name.as_str().to_owned())
        .collect();
    assert_eq!(told, ["A", "B", "C", "D"]);
    assert_eq!(all.foreign, ["1-is-no-name"]);
}

#[test]
fn what_the_service_refuses_has_its_kind_and_says_what_to_type() {
    let xml = |status| {
        Reply {
        status,
        headers: vec![("content-type".into(), "text/xml".into())],
        body: format!(
            "<ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>{}</Message></Error></Errors></ErrorResponse>",
            Canary::of_this_process().text()
        )
        .into_bytes(),
    }
    };
    let said = Canary::of_this_process().text();
    for (reply, kind) in [
        (xml(403), ErrorKind::PermissionDenied),
        (xml(400), ErrorKind::PermissionDenied),
        (Reply::empty(403), ErrorKind::PermissionDenied),
        (
            refusal(400, "AccessDeniedException", said),
            ErrorKind::PermissionDenied,
        ),
        (
            refusal(400, "ExpiredTokenException", said),
            ErrorKind::Unauthenticated,
        ),
        (
            refusal(403, "ExpiredToken", said),
            ErrorKind::Unauthenticated,
        ),
        (
            refusal(400, "UnrecognizedClientException", said),
            ErrorKind::Unauthenticated,
        ),
        (
            refusal(400, "InvalidSignatureException", said),
            ErrorKind::Unauthenticated,
        ),
        (
            refusal(400, "DecryptionFailure", said),
            ErrorKind::PermissionDenied,
        ),
        (
            refusal(400, "InvalidParameterException", said),
            ErrorKind::InvalidConfig,
        ),
        (refusal(400, "Unheard-Of", said), ErrorKind::Unexpected),
        (
            Reply {
                status: 200,
                headers: Vec::new(),
                body: format!("<html>{said}").into(),
            },
            ErrorKind::Unexpected,
        ),
    ] {
        let server = Server::plain(always(reply.clone()));
        let error = store(&server.url(), "aws:shop").look("A").unwrap_err();
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert!(
            error.hint().is_some() || kind == ErrorKind::Unexpected,
            "{error}"
        );
        assert_eq!(error.store(), Some("aws:shop?region=eu-west-1"));
        shows_nothing(&error);
    }
}

#[test]
fn a_clock_that_is_wrong_is_said_to_be() {
    let reply = refusal(400, "InvalidSignatureException", "Signature expired")
        .with_header("date", "Tue, 01 Jan 2030 00:00:00 GMT");
    let server = Server::plain(always(reply));
    let error = store(&server.url(), "aws:shop").look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("clock is wrong: it is"), "{error}");
    assert!(error.message().ends_with("seconds behind AWS"), "{error}");
}

#[test]
fn throttling_says_how_long_to_wait() {
    let reply = refusal(400, "ThrottlingException", "").with_header("retry-after", "7");
    let server = Server::plain(always(reply));
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:shop{options}"));
        for error in [
            store.look("A").unwrap_err(),
            store.put("A", "1", Precondition::Absent).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
    }
}

/// A secret that is scheduled for deletion, as the service answers for it.
fn marked(request: &Request) -> Reply {
    match call(request) {
        "DescribeSecret" => ok(&json!({
            "DeletedDate": 1_800_000_000.5,
            "VersionIdsToStages": { "0b9f5c6e-0000-4000-8000-000000000001": ["AWSCURRENT"] },
        })),
        _ => refusal(
            400,
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ),
    }
}

#[test]
fn a_document_that_is_scheduled_for_deletion_says_so_and_is_not_written() {
    let server = Server::plain(marked);
    let store = store(&server.url(), "aws:shop");
    let Lookup::Deleted {
        recoverable_until: Some(until),
        ..
    } = store.look("A").unwrap()
    else {
        panic!("it is not told as deleted");
    };
    assert_eq!(until.as_second(), 1_800_000_000);
    let all = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    assert!(all.missing && all.items.is_empty());
    assert_ne!(all.revision.unwrap().as_str(), "absent");
    let error = store.put("A", "1", Precondition::Unguarded).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("until 2027-01-15"), "{error}");
    assert!(
        error
            .hint()
            .unwrap()
            .contains("restore-secret --secret-id shop --region eu-west-1")
    );
    let error = block_on(store.provider.history(&cx(), &name("A"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_token_that_was_used_for_another_value_is_a_conflict_and_moves_nothing() {
    let app = |request: &Request| match call(request) {
        "DescribeSecret" => ok(&json!({
            "VersionIdsToStages": { "0b9f5c6e-0000-4000-8000-000000000001": ["AWSCURRENT"] },
        })),
        "PutSecretValue" => refusal(
            400,
            "ResourceExistsException",
            "You can't use ClientRequestToken because that value is already in use",
        ),
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let when = secrets_api::Version::new("0b9f5c6e-0000-4000-8000-000000000001");
    let error = store
        .put("A", "1", Precondition::Version(when))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn a_creation_that_finds_a_secret_without_a_value_gives_it_its_first() {
    let puts: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&puts);
    let app = move |request: &Request| match call(request) {
        "CreateSecret" => refusal(400, "ResourceExistsException", "already exists"),
        "GetSecretValue" => refusal(400, "ResourceNotFoundException", "no value for AWSCURRENT"),
        "DescribeSecret" => ok(&json!({ "Name": "shop" })),
        "ListSecretVersionIds" => ok(&json!({ "Versions": [] })),
        "PutSecretValue" => {
            let body = request.json().unwrap();
            let stages = json!([body["VersionStages"][0], "AWSCURRENT"]);
            seen.lock().unwrap().push(body);
            ok(&json!({ "Name": "shop", "VersionStages": stages }))
        }
        "UpdateSecretVersionStage" => {
            assert!(
                request.json().unwrap()["MoveToVersionId"].is_null(),
                "nothing is to be moved"
            );
            ok(&json!({ "Name": "shop" }))
        }
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:shop{options}"));
        store.put("A", "1", Precondition::Absent).unwrap();
    }
    assert_eq!(puts.lock().unwrap().len(), 2);
}

#[test]
fn stages_that_interrupted_writes_left_are_dropped_where_they_leave_no_room() {
    let dropped: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&dropped);
    let app = move |request: &Request| match call(request) {
        "DescribeSecret" => ok(&json!({ "VersionIdsToStages": {
            "0b9f5c6e-0000-4000-8000-000000000001": ["AWSCURRENT", "secrets-done-1"],
            "0b9f5c6e-0000-4000-8000-000000000002": ["secrets-left", "THEIRS"],
            "0b9f5c6e-0000-4000-8000-000000000003": ["AWSPENDING"],
        } })),
        "PutSecretValue" => refusal(400, "LimitExceededException", ""),
        "UpdateSecretVersionStage" => {
            let body = request.json().unwrap();
            assert!(body["MoveToVersionId"].is_null());
            seen.lock()
                .unwrap()
                .push(body["VersionStage"].as_str().unwrap().to_owned());
            ok(&json!({ "Name": "shop" }))
        }
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let when = secrets_api::Version::new("0b9f5c6e-0000-4000-8000-000000000001");
    let error = store
        .put("A", "1", Precondition::Version(when))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(*dropped.lock().unwrap(), ["secrets-left"]);
}

#[test]
fn what_is_no_document_is_an_error_that_shows_nothing_of_it() {
    let canary = Canary::of_this_process().text();
    for content in [
        canary.to_owned(),
        format!("[\"{canary}\"]"),
        format!("{{\"A\": \"{canary}"),
        format!("{{\"A\": {{\"B\": \"{canary}\"}}}}"),
    ] {
        let server = Server::plain(always(ok(&entry("shop", &content))));
        let error = store(&server.url(), "aws:shop").look("A").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        shows_nothing(&error);
    }
}

#[test]
fn a_value_of_five_megabytes_is_refused_before_anything_is_sent() {
    let server = Server::plain(always(Reply::empty(500)));
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:shop{options}"));
        let error = store
            .put("A", &"x".repeat(5_000_000), Precondition::Unguarded)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(server.log().is_empty());
}

#[test]
fn a_store_that_cannot_be_spoken_to_says_why() {
    let address = |url: &str| store(url, "aws:shop").look("A").unwrap_err();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let started = Instant::now();
    let error = address(&format!("http://{closed}"));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("refused"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    let put = store(&format!("http://{closed}"), "aws:shop?layout=each");
    let error = put.put("A", "1", Precondition::Absent).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Unavailable,
        "what was not sent is not unknown"
    );

    let uri = secrets_api::StoreUri::parse("aws:shop").unwrap();
    let remote = opening("http://secretsmanager.example.com");
    let error = secrets_aws::open(&remote.opening(&uri)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
}

#[test]
fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let server = Server::plain(|_: &Request| Reply::empty(500));
    server.inject(Fault::always(Harm::Latency(Duration::from_millis(1500))));
    let store = store(&server.url(), "aws:shop?layout=each");
    let started = Instant::now();
    let short = secrets_api::Ctx::within(Duration::from_millis(300));
    let name = name("A");
    let put = secrets_api::Change {
        name: &name,
        op: Op::Put(&value("1")),
        when: Precondition::Absent,
    };
    let written = store.write(&short, &[put]).unwrap();
    let error = written.items.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(started.elapsed() < Duration::from_millis(1400));
}

#[test]
fn tls_is_verified_against_the_authorities_that_were_named() {
    let authority = Authority::new();
    let server = Server::over_tls(always(ok(&entry("shop", "{\"A\":\"a\"}"))), &authority, &[]);
    let with = |pem: &str| {
        let opening = opening(&server.url());
        let file = opening.folder().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        let mut variables = opening.variables.clone();
        variables.push(("SSL_CERT_FILE".into(), file.into()));
        let opening = opening.with_variables(variables);
        store_with(&opening, "aws:shop").look("A")
    };
    assert_eq!(text(&with(&authority.pem())), Some("a"));
    let error = with(&Authority::new().pem()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.hint().unwrap().contains("SSL_CERT_FILE"));
    for broken in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(
            with(broken).unwrap_err().kind(),
            ErrorKind::InvalidConfig,
            "{broken}"
        );
    }
}

#[test]
fn a_list_whose_pages_do_not_end_is_given_up_as_what_cannot_be_understood() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let app = move |request: &Request| {
        let next = match call(request) {
            // The same page again and again, and always another one.
            "BatchGetSecretValue" | "ListSecretVersionIds" => "again".to_owned(),
            "ListSecrets" => count
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                .to_string(),
            "DescribeSecret" => return ok(&json!({ "Name": "shop/A" })),
            other => panic!("{other}"),
        };
        ok(&json!({ "NextToken": next }))
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let asked = |wanted: usize, error: secrets_api::Error| {
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert_eq!(server.log().len(), wanted);
        server.forget();
    };
    asked(
        2,
        block_on(store.provider.read(&cx(), Select::All)).unwrap_err(),
    );
    asked(
        3,
        block_on(store.provider.history(&cx(), &name("A"))).unwrap_err(),
    );
    asked(1000, block_on(store.provider.list(&cx())).unwrap_err());
}

#[test]
fn a_first_value_whose_answer_is_lost_is_unknown_since_it_may_be_the_present_one() {
    let app = |request: &Request| match call(request) {
        "CreateSecret" => refusal(400, "ResourceExistsException", "already exists"),
        "GetSecretValue" => refusal(400, "ResourceNotFoundException", "no value for AWSCURRENT"),
        "DescribeSecret" => ok(&json!({ "Name": "shop" })),
        "ListSecretVersionIds" => ok(&json!({ "Versions": [] })),
        "PutSecretValue" => ok(&json!({ "Name": "shop", "VersionStages": ["AWSCURRENT"] })),
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    let put = |request: &Request| call(request) == "PutSecretValue";
    server.inject(Fault::always(Harm::DropAfter).only(put));
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:shop{options}"));
        let lost = store.put("A", "1", Precondition::Absent).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::OutcomeUnknown, "{options}");
    }
}

#[test]
fn a_secret_that_may_not_be_deleted_is_not_said_to_be() {
    let current = "0b9f5c6e-0000-4000-8000-000000000001";
    let app = move |request: &Request| match call(request) {
        "DescribeSecret" => ok(&json!({ "VersionIdsToStages": { current: ["AWSCURRENT"] } })),
        "UpdateSecretVersionStage" => ok(&json!({ "Name": "shop" })),
        "DeleteSecret" => refusal(400, "InvalidRequestException", "managed by another service"),
        other => panic!("{other}"),
    };
    let server = Server::plain(app);
    let store = store(&server.url(), "aws:shop?layout=each");
    let guard = Precondition::Version(secrets_api::Version::new(current));
    for when in [Precondition::Unguarded, guard] {
        let error = store.change(&cx(), "A", Op::Delete, when).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    }
}
