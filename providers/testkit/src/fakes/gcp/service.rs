//! What the service does with a request: which method it is, what it refuses, what it changes.
//! <https://cloud.google.com/secret-manager/docs/reference/rest>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

use super::crc::crc32c;
use super::secrets::{Secret, Secrets, State};
use super::status::Status;
use super::{World, tokens};
use crate::web::{Reply, Request};

type Answer = Result<Value, Status>;

/// The most bytes of a payload: <https://cloud.google.com/secret-manager/quotas>
const PAYLOAD_BYTES: usize = 65_536;

/// The most entries of a page:
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list>
const PAGE: usize = 25_000;

/// How many the server gives where it is not asked for a number: its own choice, by the document.
const PAGE_UNASKED: usize = 100;

/// Which resource a path names, and the verb after its colon.
struct Target {
    /// `projects/P` or `projects/P/locations/L`: what secrets are kept under.
    parent: String,
    project: String,
    regional: bool,
    secret: Option<String>,
    version: Option<String>,
    /// Whether the path ends in `/versions`.
    of_versions: bool,
    verb: Option<String>,
}

pub(super) fn answer(world: &World, request: &Request) -> Reply {
    let answered = target(request).and_then(|target| {
        tokens::admit(&world.tokens(), request)?;
        enabled(world, &target)?;
        carry_out(world, request, &target)
    });
    // The time of the answer, which every Google front end tells, is added by the server.
    match answered {
        Ok(body) => Reply::json(200, &body),
        Err(status) => status.reply(),
    }
}

fn target(request: &Request) -> Result<Target, Status> {
    let unknown = || Status::new("NOT_FOUND", "Requested entity was not found.");
    let mut segments = request.segments();
    let mut verb = None;
    if let Some(last) = segments.last_mut()
        && let Some((name, after)) = last.clone().split_once(':')
    {
        verb = Some(after.to_owned());
        *last = name.to_owned();
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["v1", "projects", project, rest @ ..] = segments.as_slice() else {
        return Err(unknown());
    };
    let (location, rest) = match rest {
        ["locations", location, rest @ ..] => (Some(*location), rest),
        rest => (None, rest),
    };
    let (secret, version, of_versions) = match rest {
        ["secrets"] => (None, None, false),
        ["secrets", secret] => (Some(*secret), None, false),
        ["secrets", secret, "versions"] => (Some(*secret), None, true),
        ["secrets", secret, "versions", version] => (Some(*secret), Some(*version), false),
        _ => return Err(unknown()),
    };
    let location_part = location.map_or(String::new(), |name| format!("/locations/{name}"));
    Ok(Target {
        parent: format!("projects/{project}{location_part}"),
        project: (*project).to_owned(),
        regional: location.is_some(),
        secret: secret.map(str::to_owned),
        version: version.map(str::to_owned),
        of_versions,
        verb,
    })
}

impl Target {
    /// The secret's resource name as the service tells it: by the project's number, whatever the
    /// request named the project by.
    fn name(&self, id: &str) -> String {
        let number = self.project.bytes().fold(100_000_000_000_u64, |sum, byte| {
            (sum * 31 + u64::from(byte)) % 900_000_000_000 + 100_000_000_000
        });
        let parent = self.parent.replacen(&self.project, &number.to_string(), 1);
        format!("{parent}/secrets/{id}")
    }
}

/// <https://cloud.google.com/apis/docs/troubleshooting> (`SERVICE_DISABLED`)
fn enabled(world: &World, target: &Target) -> Result<(), Status> {
    if !world.rules().disabled {
        return Ok(());
    }
    let project = &target.project;
    let message = format!(
        "Secret Manager API has not been used in project {project} before or it is disabled."
    );
    let metadata = json!({
        "service": "secretmanager.googleapis.com",
        "consumer": format!("projects/{project}"),
    });
    let status = Status::new("PERMISSION_DENIED", message);
    Err(status.because("SERVICE_DISABLED", "googleapis.com", &metadata))
}

/// The permissions of each method stand at its own page.
/// <https://cloud.google.com/secret-manager/docs/access-control>
fn permitted(world: &World, permission: &str, resource: &str) -> Result<(), Status> {
    if !world.rules().denied.contains(permission) {
        return Ok(());
    }
    let message = format!(
        "Permission '{permission}' denied for resource '{resource}' (or it may not exist)."
    );
    let metadata = json!({ "permission": permission, "resource": resource });
    let status = Status::new("PERMISSION_DENIED", message);
    Err(status.because("IAM_PERMISSION_DENIED", "iam.googleapis.com", &metadata))
}

fn carry_out(world: &World, request: &Request, target: &Target) -> Answer {
    let unsupported = || Status::new("NOT_FOUND", "Method not found.");
    let method = (request.method.as_str(), target.verb.as_deref());
    let Some(id) = target.secret.as_deref() else {
        return match method {
            ("GET", None) => list(world, request, target),
            ("POST", None) => create(world, request, target),
            _ => Err(unsupported()),
        };
    };
    if target.of_versions {
        return match method {
            ("GET", None) => list_versions(world, request, target, id),
            _ => Err(unsupported()),
        };
    }
    if let Some(version) = target.version.as_deref() {
        return match method {
            ("GET", None) => get_version(world, request, target, id, version),
            ("GET", Some("access")) => access(world, target, id, version),
            ("POST", Some("enable")) => turn(world, request, target, id, version, State::Enabled),
            ("POST", Some("disable")) => turn(world, request, target, id, version, State::Disabled),
            ("POST", Some("destroy")) => {
                turn(world, request, target, id, version, State::Destroyed)
            }
            _ => Err(unsupported()),
        };
    }
    match method {
        ("GET", None) => {
            let name = target.name(id);
            permitted(world, "secretmanager.secrets.get", &name)?;
            let mut secrets = world.secrets();
            Ok(found(&mut secrets, target, id)?.json(&name))
        }
        ("PATCH", None) => patch(world, request, target, id),
        ("DELETE", None) => delete(world, request, target, id),
        ("POST", Some("addVersion")) => add_version(world, request, target, id),
        ("POST", Some("testIamPermissions")) => test_permissions(world, request, target, id),
        _ => Err(unsupported()),
    }
}

fn found<'a>(
    secrets: &'a mut Secrets,
    target: &Target,
    id: &str,
) -> Result<&'a mut Secret, Status> {
    let name = target.name(id);
    secrets
        .get(&target.parent, id)
        .ok_or_else(|| Status::new("NOT_FOUND", format!("Secret [{name}] not found.")))
}

/// A version by its number, or the newest by `latest`: "the most recently created", whatever its state.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access>
fn number(world: &World, secret: &Secret, name: &str, version: &str) -> Result<usize, Status> {
    let none = |message: String| Status::new("NOT_FOUND", message);
    let missing = format!("Secret [{name}] not found or has no versions.");
    if version == "latest" {
        let behind = usize::from(world.rules().lagging);
        return match secret.versions.len().saturating_sub(behind) {
            0 => Err(none(missing)),
            newest => Ok(newest),
        };
    }
    let number: usize = version.parse().map_err(|_| {
        none(format!(
            "Secret Version [{name}/versions/{version}] not found."
        ))
    })?;
    match (1..=secret.versions.len()).contains(&number) {
        true => Ok(number),
        false => Err(none(format!(
            "Secret Version [{name}/versions/{version}] not found."
        ))),
    }
}

fn by_number(request: &Request) -> bool {
    let alt = request.parameter("$alt").unwrap_or_default();
    alt.contains("enum-encoding=int")
}

/// One page of `all`, with the token of the next.
/// <https://google.aip.dev/158>
fn page<T>(world: &World, request: &Request, all: Vec<T>) -> Result<(Vec<T>, String), Status> {
    let asked: i64 = match request.parameter("pageSize") {
        None | Some("") => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Status::invalid("Invalid value at 'page_size' (TYPE_INT32)"))?,
    };
    let asked = usize::try_from(asked)
        .map_err(|_| Status::invalid("The page size must not be negative."))?;
    let most = world.rules().page.unwrap_or(PAGE);
    let size = match asked {
        0 => PAGE_UNASKED.min(most),
        asked => asked.min(PAGE).min(most),
    };
    let start = match request.parameter("pageToken") {
        None | Some("") => 0,
        Some(token) => URL_SAFE
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.strip_prefix("at:")?.parse().ok())
            .ok_or_else(|| Status::invalid("Invalid page token."))?,
    };
    let total = all.len();
    let page: Vec<T> = all.into_iter().skip(start).take(size).collect();
    let next = start + page.len();
    let token = match next < total {
        true => URL_SAFE.encode(format!("at:{next}")),
        false => String::new(),
    };
    Ok((page, token))
}

/// Whether a secret is asked for: `name:PART` and `labels.KEY=VALUE`, joined by `AND`.
/// <https://cloud.google.com/secret-manager/docs/filtering>
fn matches(filter: &str, id: &str, secret: &Secret) -> Result<bool, Status> {
    for term in filter.split(" AND ").filter(|term| !term.trim().is_empty()) {
        let term = term.trim();
        let holds = if let Some(part) = term.strip_prefix("name:") {
            id.contains(part)
        } else if let Some((key, value)) = term
            .strip_prefix("labels.")
            .and_then(|label| label.split_once('='))
        {
            secret.labels.get(key).and_then(Value::as_str) == Some(value)
        } else {
            return Err(Status::invalid(format!("Invalid filter: {filter}")));
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list>
fn list(world: &World, request: &Request, target: &Target) -> Answer {
    permitted(world, "secretmanager.secrets.list", &target.parent)?;
    let filter = request.parameter("filter").unwrap_or_default();
    let secrets = world.secrets();
    let mut chosen = Vec::new();
    for (id, secret) in secrets.of(&target.parent) {
        if matches(filter, id, secret)? {
            chosen.push((id, secret));
        }
    }
    let total = chosen.len();
    let (page, token) = page(world, request, chosen)?;
    let page: Vec<Value> = page
        .into_iter()
        .map(|(id, secret)| secret.json(&target.name(id)))
        .collect();
    Ok(listed("secrets", page, token, total))
}

/// Proto3 JSON leaves out what is empty.
fn listed(key: &str, page: Vec<Value>, token: String, total: usize) -> Value {
    let mut body = json!({});
    if !page.is_empty() {
        body[key] = Value::Array(page);
        body["totalSize"] = json!(total);
    }
    if !token.is_empty() {
        body["nextPageToken"] = json!(token);
    }
    body
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create>
fn create(world: &World, request: &Request, target: &Target) -> Answer {
    permitted(world, "secretmanager.secrets.create", &target.parent)?;
    let id = request.parameter("secretId").unwrap_or_default();
    let fits = (1..=255).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !fits {
        return Err(Status::invalid(
            "The provided Secret ID does not match the expected format [[a-zA-Z_0-9-]{1,255}].",
        ));
    }
    let body = object(request)?;
    let replication = body.get("replication").cloned().unwrap_or(Value::Null);
    // Global secrets need a policy; those of one region have none:
    // <https://cloud.google.com/secret-manager/regional-secrets/create-regional-secret>
    match (target.regional, replication.is_null()) {
        (false, true) => return Err(Status::invalid("Field [replication] is required.")),
        (true, false) => {
            return Err(Status::invalid(
                "Replication must not be set for regional secrets.",
            ));
        }
        _ => {}
    }
    let labels = map(&body, "labels")?;
    let annotations = map(&body, "annotations")?;
    check_labels(&labels)?;
    let name = target.name(id);
    let mut secrets = world.secrets();
    if secrets.get(&target.parent, id).is_some() {
        let message = format!("Secret [{name}] already exists.");
        return Err(Status::new("ALREADY_EXISTS", message));
    }
    let secret = secrets.create(&target.parent, id, labels, annotations, replication);
    Ok(secret.json(&name))
}

/// "Label keys must be between 1 and 63 characters long, …", at most 64 of them.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets#Secret>
fn check_labels(labels: &Map<String, Value>) -> Result<(), Status> {
    let letter = |c: char| c.is_lowercase() || c.is_alphabetic() && !c.is_uppercase();
    let rest = |c: char| letter(c) || c.is_numeric() || matches!(c, '_' | '-');
    let fits = |(key, value): (&String, &Value)| {
        let value = value.as_str().unwrap_or_default();
        key.starts_with(letter)
            && key.chars().all(rest)
            && value.chars().all(rest)
            && key.chars().count() <= 63
            && value.chars().count() <= 63
    };
    match labels.len() <= 64 && labels.iter().all(fits) {
        true => Ok(()),
        false => Err(Status::invalid("Invalid label.")),
    }
}

fn object(request: &Request) -> Result<Map<String, Value>, Status> {
    match request.json() {
        Some(Value::Object(object)) => Ok(object),
        None if request.body.is_empty() => Ok(Map::new()),
        _ => Err(Status::invalid("Invalid JSON payload received.")),
    }
}

/// A map of texts.
fn map(body: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, Status> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) if map.values().all(Value::is_string) => Ok(map.clone()),
        Some(_) => Err(Status::invalid(format!("Invalid value at 'secret.{key}'"))),
    }
}

/// "If an ETag is provided and matches the current resource ETag, the request succeeds; otherwise, it
/// fails with a FAILED_PRECONDITION error and an HTTP status code 400."
/// <https://cloud.google.com/secret-manager/docs/etags>
fn same_etag(given: Option<&str>, present: &str) -> Result<(), Status> {
    match given {
        None | Some("") => Ok(()),
        Some(given) if given == present => Ok(()),
        Some(given) => Err(Status::failed_precondition(format!(
            "The etag provided in the request, [{given}], does not match the etag currently set on \
             the resource, [{present}]."
        ))),
    }
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/patch>
fn patch(world: &World, request: &Request, target: &Target, id: &str) -> Answer {
    let name = target.name(id);
    permitted(world, "secretmanager.secrets.update", &name)?;
    let body = object(request)?;
    let mask = request.parameter("updateMask").unwrap_or_default();
    let mut fields: Vec<&str> = mask.split(',').filter(|field| !field.is_empty()).collect();
    fields.sort_unstable();
    if fields.is_empty() {
        return Err(Status::invalid("Field [update_mask] is required."));
    }
    if let Some(field) = fields
        .iter()
        .find(|field| !["labels", "annotations"].contains(field))
    {
        return Err(Status::invalid(format!("Invalid field mask: {field}")));
    }
    let (labels, annotations) = (map(&body, "labels")?, map(&body, "annotations")?);
    check_labels(&labels)?;
    let mut secrets = world.secrets();
    let fresh = secrets.etag();
    let secret = found(&mut secrets, target, id)?;
    same_etag(body.get("etag").and_then(Value::as_str), &secret.etag)?;
    // A masked field is replaced as a whole (AIP-134).
    if fields.contains(&"labels") {
        secret.labels = labels;
    }
    if fields.contains(&"annotations") {
        secret.annotations = annotations;
    }
    secret.etag = fresh;
    Ok(secret.json(&name))
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/delete>
fn delete(world: &World, request: &Request, target: &Target, id: &str) -> Answer {
    permitted(world, "secretmanager.secrets.delete", &target.name(id))?;
    let mut secrets = world.secrets();
    let secret = found(&mut secrets, target, id)?;
    same_etag(request.parameter("etag"), &secret.etag)?;
    secrets.remove(&target.parent, id);
    Ok(json!({}))
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/addVersion>
fn add_version(world: &World, request: &Request, target: &Target, id: &str) -> Answer {
    let name = target.name(id);
    permitted(world, "secretmanager.versions.add", &name)?;
    let body = object(request)?;
    let payload = match body.get("payload") {
        Some(Value::Object(payload)) => payload,
        _ => return Err(Status::invalid("Field [payload] is required.")),
    };
    let text = payload.get("data").and_then(Value::as_str).unwrap_or("");
    let mut data = STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|_| {
            // The service repeats what it could not decode: a client must not pass this on.
            let field = "Invalid value at 'payload.data' (TYPE_BYTES)";
            Status::invalid(format!("{field}, Base64 decoding failed for \"{text}\""))
        })?;
    if world.rules().altered_in
        && let Some(byte) = data.last_mut()
    {
        *byte ^= 1;
    }
    if data.is_empty() {
        return Err(Status::invalid("Secret Payload cannot be empty."));
    }
    if data.len() > PAYLOAD_BYTES {
        return Err(Status::invalid(format!(
            "The payload is larger than the maximum of {PAYLOAD_BYTES} bytes."
        )));
    }
    let given = checksum(payload.get("dataCrc32c"))?;
    if given.is_some_and(|given| given != i64::from(crc32c(&data))) {
        // <https://cloud.google.com/secret-manager/docs/data-integrity>
        return Err(Status::invalid(
            "The payload's checksum does not match data_crc32c.",
        ));
    }
    let mut secrets = world.secrets();
    found(&mut secrets, target, id)?;
    let added = secrets.add(&target.parent, id, data, given.is_some());
    let number = added.unwrap_or_default();
    let secret = found(&mut secrets, target, id)?;
    let version = &secret.versions[number - 1];
    Ok(version.json(&format!("{name}/versions/{number}"), by_number(request)))
}

/// An int64 travels as text, and a number is taken too (proto3 JSON).
fn checksum(value: Option<&Value>) -> Result<Option<i64>, Status> {
    let wrong = || Status::invalid("Invalid value at 'payload.data_crc32c' (TYPE_INT64)");
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| wrong()),
        Some(number) => number.as_i64().map(Some).ok_or_else(wrong),
    }
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/list>
fn list_versions(world: &World, request: &Request, target: &Target, id: &str) -> Answer {
    let name = target.name(id);
    permitted(world, "secretmanager.versions.list", &name)?;
    let mut secrets = world.secrets();
    let secret = found(&mut secrets, target, id)?;
    let numbered: Vec<Value> = secret
        .versions
        .iter()
        .enumerate()
        .rev()
        .map(|(at, version)| {
            version.json(&format!("{name}/versions/{}", at + 1), by_number(request))
        })
        .collect();
    let total = numbered.len();
    let (page, token) = page(world, request, numbered)?;
    Ok(listed("versions", page, token, total))
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/get>
fn get_version(
    world: &World,
    request: &Request,
    target: &Target,
    id: &str,
    version: &str,
) -> Answer {
    let name = target.name(id);
    permitted(world, "secretmanager.versions.get", &name)?;
    let mut secrets = world.secrets();
    let secret = found(&mut secrets, target, id)?;
    let number = number(world, secret, &name, version)?;
    let full = format!("{name}/versions/{number}");
    Ok(secret.versions[number - 1].json(&full, by_number(request)))
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access>
fn access(world: &World, target: &Target, id: &str, version: &str) -> Answer {
    let name = target.name(id);
    let asked = format!("{name}/versions/{version}");
    permitted(world, "secretmanager.versions.access", &asked)?;
    let altered = world.rules().altered_out;
    let mut secrets = world.secrets();
    // Here a secret that is not there and one without a version are told alike.
    let missing = || {
        let message = format!("Secret [{name}] not found or has no versions.");
        Status::new("NOT_FOUND", message)
    };
    let secret = secrets.get(&target.parent, id).ok_or_else(missing)?;
    let number = number(world, secret, &name, version)?;
    let full = format!("{name}/versions/{number}");
    let version = &secret.versions[number - 1];
    if version.state != State::Enabled {
        return Err(Status::failed_precondition(format!(
            "Secret Version [{full}] is in {} state.",
            version.state.name()
        )));
    }
    let mut data = version.payload.clone();
    if altered && let Some(byte) = data.last_mut() {
        *byte ^= 1;
    }
    Ok(json!({
        "name": full,
        "payload": {
            "data": STANDARD.encode(data),
            "dataCrc32c": version.crc.to_string(),
        },
    }))
}

/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/disable>
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/enable>
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/destroy>
fn turn(
    world: &World,
    request: &Request,
    target: &Target,
    id: &str,
    version: &str,
    state: State,
) -> Answer {
    let name = target.name(id);
    let permission = match state {
        State::Enabled => "secretmanager.versions.enable",
        State::Disabled => "secretmanager.versions.disable",
        State::Destroyed => "secretmanager.versions.destroy",
    };
    permitted(world, permission, &name)?;
    let body = object(request)?;
    let mut secrets = world.secrets();
    let fresh = secrets.etag();
    let secret = found(&mut secrets, target, id)?;
    let number = number(world, secret, &name, version)?;
    let full = format!("{name}/versions/{number}");
    let delayed = secret.delayed;
    let version = &mut secret.versions[number - 1];
    same_etag(body.get("etag").and_then(Value::as_str), &version.etag)?;
    // "A version may not leave this state once entered."
    if version.state == State::Destroyed {
        return Err(Status::failed_precondition(format!(
            "Secret Version [{full}] is in DESTROYED state."
        )));
    }
    match delayed {
        true => version.schedule(state, fresh),
        false => version.turn(state, fresh),
    }
    Ok(version.json(&full, by_number(request)))
}

/// "If the secret does not exist, this call returns an empty set of permissions, not a NOT_FOUND error."
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/testIamPermissions>
fn test_permissions(world: &World, request: &Request, target: &Target, id: &str) -> Answer {
    let body = object(request)?;
    let there = world.secrets().get(&target.parent, id).is_some();
    let rules = world.rules();
    let asked = body.get("permissions").and_then(Value::as_array);
    let held: Vec<&Value> = asked
        .into_iter()
        .flatten()
        .filter(|permission| {
            let name = permission.as_str().unwrap_or_default();
            there && !rules.denied.contains(name)
        })
        .collect();
    match held.is_empty() {
        true => Ok(json!({})),
        false => Ok(json!({ "permissions": held })),
    }
}
