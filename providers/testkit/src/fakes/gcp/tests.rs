//! The fake keeps the service's rules: those a client relies on, asked without a client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::crc::crc32c;
use super::*;

/// What the service answers: HTTP status and body.
fn ask(world: &Arc<World>, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), crate::web::decoded(value))
    };
    let request = Request {
        method: method.to_owned(),
        path: format!("/v1/{path}"),
        query: query
            .split('&')
            .filter(|p| !p.is_empty())
            .map(pair)
            .collect(),
        headers: http::HeaderMap::new(),
        body: match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        },
    };
    let reply = App::answer(world, &request);
    let body = serde_json::from_slice(&reply.body).unwrap_or_default();
    (reply.status, body)
}

fn get(world: &Arc<World>, target: &str) -> (u16, Value) {
    ask(world, "GET", target, &Value::Null)
}

fn post(world: &Arc<World>, target: &str, body: &Value) -> (u16, Value) {
    ask(world, "POST", target, body)
}

/// The canonical code of a refusal.
fn code(answer: &(u16, Value)) -> (u16, &str) {
    (
        answer.0,
        answer.1["error"]["status"].as_str().unwrap_or("OK"),
    )
}

fn world() -> Arc<World> {
    let world = Arc::<World>::default();
    world.secrets().plant("projects/p", "A", b"one");
    world
}

fn payload(value: &[u8], crc: u32) -> Value {
    json!({ "payload": { "data": STANDARD.encode(value), "dataCrc32c": crc.to_string() } })
}

#[test]
fn a_secret_is_created_once_and_named_by_the_projects_number() {
    let world = world();
    let policy = json!({ "replication": { "automatic": {} }, "labels": { "team": "shop" } });
    let made = post(&world, "projects/p/secrets?secretId=B", &policy);
    assert_eq!(made.0, 200);
    let name = made.1["name"].as_str().unwrap_or_default();
    assert!(name.ends_with("/secrets/B") && !name.contains("projects/p/"));
    assert!(
        made.1["etag"]
            .as_str()
            .is_some_and(|etag| etag.starts_with('"'))
    );
    let again = post(&world, "projects/p/secrets?secretId=B", &policy);
    assert_eq!(code(&again), (409, "ALREADY_EXISTS"));
    for (target, body) in [
        ("projects/p/secrets?secretId=a.b", policy.clone()),
        ("projects/p/secrets?secretId=", policy.clone()),
        ("projects/p/secrets?secretId=C", json!({})),
        ("projects/p/locations/l/secrets?secretId=C", policy.clone()),
        (
            "projects/p/secrets?secretId=C",
            json!({ "replication": { "automatic": {} }, "labels": { "Team": "x" } }),
        ),
    ] {
        let refused = post(&world, target, &body);
        assert_eq!(code(&refused), (400, "INVALID_ARGUMENT"), "{target}");
    }
    let regional = post(
        &world,
        "projects/p/locations/l/secrets?secretId=C",
        &json!({}),
    );
    assert_eq!(regional.0, 200);
}

#[test]
fn a_payload_is_neither_empty_nor_too_large_nor_altered() {
    let world = world();
    let add = "projects/p/secrets/A:addVersion";
    let good = post(&world, add, &payload(b"two", crc32c(b"two")));
    assert_eq!(good.1["clientSpecifiedPayloadChecksum"], json!(true));
    assert!(
        good.1["name"]
            .as_str()
            .is_some_and(|n| n.ends_with("/versions/2"))
    );
    let large = vec![0; 65_537];
    for body in [
        payload(b"", 0),
        payload(&large, crc32c(&large)),
        payload(b"two", crc32c(b"twp")),
        json!({}),
        json!({ "payload": { "data": "*" } }),
    ] {
        assert_eq!(code(&post(&world, add, &body)), (400, "INVALID_ARGUMENT"));
    }
    let most = vec![0; 65_536];
    assert_eq!(post(&world, add, &payload(&most, crc32c(&most))).0, 200);
    let nowhere = post(
        &world,
        "projects/p/secrets/NONE:addVersion",
        &payload(b"x", crc32c(b"x")),
    );
    assert_eq!(code(&nowhere), (404, "NOT_FOUND"));
}

#[test]
fn latest_is_the_newest_version_whatever_its_state() {
    let world = world();
    let access = "projects/p/secrets/A/versions/latest:access";
    let found = get(&world, access);
    let sum = crc32c(b"one").to_string();
    assert_eq!(found.1["payload"]["dataCrc32c"], json!(sum));
    world.secrets().plant("projects/p", "A", b"two");
    let disable = "projects/p/secrets/A/versions/2:disable";
    assert_eq!(post(&world, disable, &json!({})).0, 200);
    let refused = get(&world, access);
    assert_eq!(code(&refused), (400, "FAILED_PRECONDITION"));
    assert_eq!(get(&world, "projects/p/secrets/A/versions/1:access").0, 200);
    world.secrets().plant_empty("projects/p", "EMPTY");
    for target in [
        "projects/p/secrets/EMPTY/versions/latest:access",
        "projects/p/secrets/A/versions/9",
    ] {
        assert_eq!(code(&get(&world, target)), (404, "NOT_FOUND"));
    }
}

#[test]
fn states_are_numbers_where_they_are_asked_for_and_destroying_is_for_good() {
    let world = world();
    let version = "projects/p/secrets/A/versions/latest";
    assert_eq!(get(&world, version).1["state"], json!("ENABLED"));
    let by_number = format!("{version}?$alt=json;enum-encoding=int");
    assert_eq!(get(&world, &by_number).1["state"], json!(1));
    let destroyed = post(
        &world,
        "projects/p/secrets/A/versions/1:destroy",
        &json!({}),
    );
    assert!(destroyed.1["destroyTime"].is_string());
    for verb in ["enable", "disable", "destroy"] {
        let target = format!("projects/p/secrets/A/versions/1:{verb}");
        let refused = post(&world, &target, &json!({}));
        assert_eq!(code(&refused), (400, "FAILED_PRECONDITION"), "{verb}");
    }
}

#[test]
fn an_etag_that_is_not_the_present_one_fails_the_change() {
    let world = world();
    let secret = get(&world, "projects/p/secrets/A").1;
    let version = get(&world, "projects/p/secrets/A/versions/1").1;
    let stale = json!({ "etag": "\"0\"", "annotations": { "a": "b" } });
    let patch = "projects/p/secrets/A?updateMask=annotations";
    assert_eq!(
        code(&ask(&world, "PATCH", patch, &stale)),
        (400, "FAILED_PRECONDITION")
    );
    let disable = "projects/p/secrets/A/versions/1:disable";
    assert_eq!(
        code(&post(&world, disable, &stale)),
        (400, "FAILED_PRECONDITION")
    );
    // A change of a version leaves the secret's etag, and a change of the secret the version's.
    let fresh = json!({ "etag": version["etag"] });
    assert_eq!(post(&world, disable, &fresh).0, 200);
    let fresh = json!({ "etag": secret["etag"], "annotations": { "a": "b" } });
    let patched = ask(&world, "PATCH", patch, &fresh);
    assert_eq!(patched.1["annotations"], json!({ "a": "b" }));
    assert_ne!(patched.1["etag"], secret["etag"]);
    let delete = "projects/p/secrets/A?etag=%220%22";
    let refused = ask(&world, "DELETE", delete, &Value::Null);
    assert_eq!(code(&refused), (400, "FAILED_PRECONDITION"));
    assert_eq!(
        ask(&world, "DELETE", "projects/p/secrets/A", &Value::Null).0,
        200
    );
    assert_eq!(get(&world, "projects/p/secrets/A").0, 404);
}

#[test]
fn a_list_comes_newest_first_page_by_page_and_filtered() {
    let world = world();
    for id in ["web-B", "web-C", "D"] {
        world.secrets().plant("projects/p", id, b"x");
    }
    let ids = |body: &Value| -> Vec<String> {
        let secrets = body["secrets"].as_array().cloned().unwrap_or_default();
        let id = |secret: &Value| {
            let name = secret["name"].as_str().unwrap_or_default();
            name.rsplit('/').next().unwrap_or_default().to_owned()
        };
        secrets.iter().map(id).collect()
    };
    let (_, first) = get(&world, "projects/p/secrets?pageSize=3");
    assert_eq!(ids(&first), ["D", "web-C", "web-B"]);
    assert_eq!(first["totalSize"], json!(4));
    let token = first["nextPageToken"].as_str().unwrap_or_default();
    let (_, second) = get(
        &world,
        &format!("projects/p/secrets?pageSize=3&pageToken={token}"),
    );
    assert_eq!(ids(&second), ["A"]);
    assert!(second["nextPageToken"].is_null());
    let (_, some) = get(&world, "projects/p/secrets?filter=name:web-");
    assert_eq!(ids(&some), ["web-C", "web-B"]);
    for target in ["?pageToken=x", "?pageSize=-1", "?filter=colour:red"] {
        let refused = get(&world, &format!("projects/p/secrets{target}"));
        assert_eq!(code(&refused), (400, "INVALID_ARGUMENT"), "{target}");
    }
    let (_, elsewhere) = get(&world, "projects/p/locations/l/secrets");
    assert_eq!(elsewhere, json!({}));
}

#[test]
fn whoever_has_no_token_is_not_let_in_where_one_is_wanted() {
    let world = world();
    world.tokens().demanded = true;
    let refused = get(&world, "projects/p/secrets/A/versions/latest:access");
    assert_eq!(code(&refused), (401, "UNAUTHENTICATED"));
    assert_eq!(
        refused.1["error"]["details"][0]["reason"],
        json!("CREDENTIALS_MISSING")
    );
}

#[test]
fn the_metadata_server_answers_to_its_own_header_alone() {
    let world = world();
    let mut request = Request {
        method: "GET".into(),
        path: "/computeMetadata/v1/instance/service-accounts/default/token".into(),
        query: Vec::new(),
        headers: http::HeaderMap::new(),
        body: Vec::new(),
    };
    assert_eq!(App::answer(&world, &request).status, 403);
    let flavour = http::HeaderValue::from_static("Google");
    request.headers.insert("metadata-flavor", flavour);
    let reply = App::answer(&world, &request);
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .headers
            .iter()
            .any(|(name, _)| name == "metadata-flavor")
    );
}
