//! What the library's errors mean, in our words. Nothing of a message or a body is passed on: the service
//! repeats what it could not read, and that may be a value.
//! <https://cloud.google.com/apis/design/errors>

use std::error::Error as _;
use std::time::Duration;

use google_cloud_gax::error::rpc::{Code, Status, StatusDetails};
use google_cloud_gax::error::{CredentialsError, Error as Refusal};
use http::HeaderMap;
use secrets_api::{Error, ErrorKind, Timestamp};
use secrets_net::Sent;

use crate::place::Place;

/// One of the service's methods: whether it changes anything, and which permission it needs
/// (<https://cloud.google.com/secret-manager/docs/access-control>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) sent: Sent,
    pub(crate) permission: &'static str,
}

const fn reads(permission: &'static str) -> Method {
    Method {
        sent: Sent::Read,
        permission,
    }
}

const fn writes(permission: &'static str) -> Method {
    Method {
        sent: Sent::Write,
        permission,
    }
}

pub(crate) const LIST: Method = reads("secretmanager.secrets.list");
pub(crate) const GET: Method = reads("secretmanager.secrets.get");
pub(crate) const CREATE: Method = writes("secretmanager.secrets.create");
pub(crate) const UPDATE: Method = writes("secretmanager.secrets.update");
pub(crate) const ACCESS: Method = reads("secretmanager.versions.access");
pub(crate) const GET_VERSION: Method = reads("secretmanager.versions.get");
pub(crate) const LIST_VERSIONS: Method = reads("secretmanager.versions.list");
pub(crate) const ADD: Method = writes("secretmanager.versions.add");
pub(crate) const ENABLE: Method = writes("secretmanager.versions.enable");
pub(crate) const DISABLE: Method = writes("secretmanager.versions.disable");
pub(crate) const DESTROY: Method = writes("secretmanager.versions.destroy");
/// Asking what one may do needs no permission.
pub(crate) const TEST: Method = reads("");

/// All that this provider uses, for a policy: what is asked of the project, and of its secrets.
pub(crate) const TO_READ: ([Method; 1], [Method; 4]) =
    ([LIST], [GET, ACCESS, GET_VERSION, LIST_VERSIONS]);
pub(crate) const TO_WRITE: ([Method; 1], [Method; 5]) =
    ([CREATE], [UPDATE, ADD, ENABLE, DISABLE, DESTROY]);

/// The least of Google's roles that has a permission.
pub(crate) fn role(permission: &str) -> &'static str {
    match permission.rsplit_once('.') {
        Some((_, "access")) => "roles/secretmanager.secretAccessor",
        Some((_, "add")) => "roles/secretmanager.secretVersionAdder",
        Some((_, "enable" | "disable" | "destroy")) => "roles/secretmanager.secretVersionManager",
        Some((_, "list" | "get")) => "roles/secretmanager.viewer",
        _ => "roles/secretmanager.admin",
    }
}

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What the service said, where it did.
    pub(crate) code: Option<Code>,
    /// When the service said it.
    pub(crate) told_at: Option<Timestamp>,
    pub(crate) error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            code: None,
            told_at: None,
            error,
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Failed {
    /// Whether the service said this.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == Some(code)
    }

    /// Whether an etag that was sent is not the present one. The service says FAILED_PRECONDITION
    /// (<https://cloud.google.com/secret-manager/docs/etags>); ABORTED is Google's general word for it
    /// (<https://google.aip.dev/154>).
    pub(crate) fn is_stale(&self) -> bool {
        self.is(Code::FailedPrecondition) || self.is(Code::Aborted)
    }
}

/// What an error of a request means.
pub(crate) fn understood(refusal: &Refusal, method: Method, place: &Place) -> Failed {
    let headers = refusal.http_headers();
    let told_at = headers.and_then(date);
    if let Some(status) = refusal.status() {
        return Failed {
            code: Some(status.code),
            told_at,
            error: refused(status, headers, method, place),
        };
    }
    let error = if let Some(http) = refusal.http_status_code() {
        without_status(http, headers, method)
    } else if refusal.is_authentication() {
        let source = refusal.source().and_then(|cause| cause.downcast_ref());
        source.map_or_else(no_token, not_logged_in)
    } else if refusal.is_connect() {
        unreachable(refusal)
    } else if refusal.is_timeout() {
        unanswered("Google did not answer in time", method.sent)
    } else if refusal.is_deserialization() {
        unlike(method.sent)
    } else if refusal.is_binding() || refusal.is_serialization() {
        Error::new(ErrorKind::Unexpected, "the request cannot be made")
    } else {
        unanswered("the connection ended before the answer", method.sent)
    };
    Failed {
        code: None,
        told_at,
        error,
    }
}

/// The time of an answer (RFC 9110, section 6.6.1).
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(text).ok()
}

/// An answer that somebody else gave.
pub(crate) fn unlike(sent: Sent) -> Error {
    unanswered("the answer is none of Google's", sent)
}

/// A request that was sent and is not known to have failed: a change may have happened.
pub(crate) fn unanswered(message: &str, sent: Sent) -> Error {
    match sent {
        Sent::Read => Error::new(ErrorKind::Unavailable, message),
        Sent::Write => Error::new(ErrorKind::OutcomeUnknown, message),
    }
}

/// The service's own word.
fn refused(status: &Status, headers: Option<&HeaderMap>, method: Method, place: &Place) -> Error {
    let code = status.code.name();
    match status.code {
        Code::Unauthenticated => Error::new(
            ErrorKind::Unauthenticated,
            "Google does not accept the credentials (UNAUTHENTICATED)",
        )
        .with_hint(
            "log in with `gcloud auth application-default login`, or name a key that is still \
             valid; a clock that is wrong has the same effect",
        ),
        Code::PermissionDenied => not_permitted(status, method, place),
        Code::ResourceExhausted => limited(headers, Some(status)),
        Code::NotFound => Error::new(
            ErrorKind::InvalidConfig,
            format!("Google knows no such place (NOT_FOUND): {}", place.parent),
        )
        .with_hint("is the project right, and the location? see `gcloud projects list`"),
        Code::AlreadyExists => Error::new(
            ErrorKind::Conflict,
            "somebody else has created it (ALREADY_EXISTS)",
        ),
        Code::FailedPrecondition | Code::InvalidArgument | Code::OutOfRange if method == CREATE => {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("Google creates no secret of this kind in the project ({code})"),
            )
            .with_hint(
                "does the organisation restrict locations? name some that exist: \
                 `?replication=europe-west3+europe-west4`, or `?location=europe-west3`",
            )
        }
        Code::FailedPrecondition if method == ACCESS || method == ADD => undecipherable(),
        Code::FailedPrecondition | Code::Aborted => Error::new(
            ErrorKind::Conflict,
            format!("its state is another than the one the change was meant for ({code})"),
        )
        .with_hint("look at it with `secrets history NAME` and try again"),
        Code::InvalidArgument | Code::OutOfRange => Error::new(
            ErrorKind::InvalidConfig,
            format!("Google refused the request as malformed ({code})"),
        )
        .with_hint("are the project, the location and the prefix right?"),
        Code::Unimplemented => Error::new(
            ErrorKind::InvalidConfig,
            "this address does not offer Secret Manager (UNIMPLEMENTED)",
        )
        .with_hint("is `addresses` right? Google's own address is used without it"),
        // "Note that it is not always safe to retry non-idempotent operations": after any of these a
        // change may have happened.
        // <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>
        _ => unanswered(
            &format!("Google could not carry out the request ({code})"),
            method.sent,
        ),
    }
}

/// The key that the service encrypts with is not to be used.
/// <https://cloud.google.com/secret-manager/docs/cmek>
pub(crate) fn undecipherable() -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        "the encryption key of the secret cannot be used (FAILED_PRECONDITION)",
    )
    .with_hint("is the key (CMEK) enabled, and may Secret Manager use it?")
}

/// Why nobody here may do this, where Google says.
/// <https://cloud.google.com/apis/design/errors#error_info>
fn not_permitted(status: &Status, method: Method, place: &Place) -> Error {
    let project = &place.project;
    let denied = |message: String| Error::new(ErrorKind::PermissionDenied, message);
    let reason = status.details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) => Some(info.reason.as_str()),
        _ => None,
    });
    match reason {
        Some("SERVICE_DISABLED") => denied(format!(
            "Secret Manager is not enabled in the project {project} (SERVICE_DISABLED)"
        ))
        .with_hint(format!(
            "gcloud services enable secretmanager.googleapis.com --project={project}"
        )),
        Some("BILLING_DISABLED") => denied(format!(
            "the project {project} has no billing (BILLING_DISABLED)"
        ))
        .with_hint(format!(
            "gcloud billing projects link {project} --billing-account=ACCOUNT"
        )),
        Some("CONSUMER_INVALID") => denied(format!(
            "there is no project {project}, or it is not ours (CONSUMER_INVALID)"
        ))
        .with_hint("is the project right? see `gcloud projects list`"),
        Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => denied(
            "the credentials are not for Secret Manager (ACCESS_TOKEN_SCOPE_INSUFFICIENT)".into(),
        )
        .with_hint("the machine or login needs the scope `cloud-platform`"),
        Some("SECURITY_POLICY_VIOLATED") => {
            denied("a service perimeter keeps us out (SECURITY_POLICY_VIOLATED)".into())
                .with_hint("ask who keeps the organisation's VPC Service Controls")
        }
        _ => denied(format!(
            "the permission {} is missing in the project {project} (PERMISSION_DENIED)",
            method.permission
        ))
        .with_hint(grant(method.permission, project)),
    }
}

/// What to type so that somebody may.
pub(crate) fn grant(permission: &str, project: &str) -> String {
    let role = role(permission);
    format!(
        "gcloud projects add-iam-policy-binding {project} --member=MEMBER --role={role} (or \
         `secrets doctor --policy` for the least of all)"
    )
}

/// We ask too often: <https://cloud.google.com/secret-manager/quotas>
fn limited(headers: Option<&HeaderMap>, status: Option<&Status>) -> Error {
    let asked = headers.and_then(|headers| {
        let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    });
    let details = status.into_iter().flat_map(|status| &status.details);
    let told = details
        .filter_map(|detail| match detail {
            StatusDetails::RetryInfo(info) => info.retry_delay,
            _ => None,
        })
        .find_map(|delay| {
            let seconds = u64::try_from(delay.seconds()).ok()?;
            Some(Duration::new(seconds, u32::try_from(delay.nanos()).ok()?))
        });
    let error = Error::new(
        ErrorKind::RateLimited,
        "the project has made more requests than its quota allows (RESOURCE_EXHAUSTED)",
    )
    .with_hint("wait a minute, or raise the quota of Secret Manager in the project");
    match asked.or(told) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// An answer that is not the service's: a proxy's, a front end's.
fn without_status(http: u16, headers: Option<&HeaderMap>, method: Method) -> Error {
    match http {
        429 => limited(headers, None),
        401 | 403 => Error::new(
            ErrorKind::PermissionDenied,
            format!("the request was refused before it came to Secret Manager (HTTP {http})"),
        )
        .with_hint("is there a proxy or a firewall on the way, and is the address right?"),
        300..=399 => Error::new(
            ErrorKind::InvalidConfig,
            format!("the address sends us elsewhere (HTTP {http}), and nothing was sent there"),
        )
        .with_hint("name the right address: Google's service never redirects"),
        404 | 405 => Error::new(
            ErrorKind::InvalidConfig,
            format!("this address does not offer Secret Manager (HTTP {http})"),
        )
        .with_hint("is `addresses` right? Google's own address is used without it"),
        400..=499 => Error::new(
            ErrorKind::Unexpected,
            format!("the request was refused (HTTP {http})"),
        ),
        _ => unanswered(
            &format!("the service failed to answer (HTTP {http})"),
            method.sent,
        ),
    }
}

/// The causes in one text, for finding fixed words in it. It is never shown.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text.to_lowercase()
}

/// No connection was made: nothing was sent.
fn unreachable(refusal: &Refusal) -> Error {
    let text = causes(refusal);
    if text.contains("certificate") || text.contains("unknownissuer") {
        return Error::new(
            ErrorKind::Untrusted,
            "the server's certificate is not trusted",
        )
        .with_hint("name the authority that signed it: SSL_CERT_FILE=ca.pem");
    }
    let why = [
        ("connection refused", ": the connection was refused"),
        ("dns error", ": its name is not known"),
        ("failed to lookup", ": its name is not known"),
        ("unreachable", ": there is no way to it"),
    ];
    let why = why.into_iter().find(|(sign, _)| text.contains(sign));
    let why = why.map_or("", |(_, why)| why);
    Error::new(
        ErrorKind::Unavailable,
        format!("the server cannot be reached{why}"),
    )
    .with_hint("is there a network, and is the address right?")
}

fn no_token() -> Error {
    Error::new(ErrorKind::Unauthenticated, "no access token could be had")
}

/// No token could be had; nothing was sent to Secret Manager.
pub(crate) fn not_logged_in(error: &CredentialsError) -> Error {
    let text = causes(error);
    let again = "log in again with `gcloud auth application-default login`";
    if ["invalid_grant", "invalid_rapt", "rapt_required"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        return Error::new(
            ErrorKind::Unauthenticated,
            "the login has expired or was revoked (invalid_grant)",
        )
        .with_hint(again);
    }
    if text.contains("private key") || text.contains("pem") || text.contains("signing scheme") {
        return Error::new(
            ErrorKind::Unauthenticated,
            "the service account's key cannot be used: its private key is none, or broken",
        )
        .with_hint("make a new one with `gcloud iam service-accounts keys create`");
    }
    if text.contains("failed to fetch access token") {
        return no_metadata(error.is_transient());
    }
    if error.is_transient() {
        return Error::new(
            ErrorKind::Unavailable,
            "the place that issues access tokens does not answer",
        )
        .with_hint("is there a network?");
    }
    no_token().with_hint(again)
}

/// The metadata server gave no token.
fn no_metadata(transient: bool) -> Error {
    let hint = "log in with `gcloud auth application-default login`, or name a key: `auth = { method \
                = \"service-account\", key = \"file:key.json\" }`";
    let (kind, message) = match transient {
        true => (
            ErrorKind::Unavailable,
            "the machine's metadata server does not answer, and no other credentials are there",
        ),
        false => (
            ErrorKind::Unauthenticated,
            "there are no credentials, and this machine has no account at Google",
        ),
    };
    Error::new(kind, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrets_api::StoreUri;
    use serde_json::{Value, json};

    use super::*;

    fn place() -> Place {
        Place::new(&StoreUri::parse("gcp:shop").unwrap()).unwrap()
    }

    fn status(code: Code, details: Value) -> Refusal {
        let details: Vec<StatusDetails> = serde_json::from_value(details).unwrap();
        let status = Status::default()
            .set_code(code)
            .set_message("canary")
            .set_details(details);
        Refusal::service(status)
    }

    fn kind(refusal: &Refusal, method: Method) -> ErrorKind {
        understood(refusal, method, &place()).error.kind()
    }

    #[test]
    fn every_code_of_google_has_its_kind_and_repeats_no_message() {
        for (code, read, write) in [
            (Code::Unauthenticated, ErrorKind::Unauthenticated, None),
            (Code::PermissionDenied, ErrorKind::PermissionDenied, None),
            (Code::ResourceExhausted, ErrorKind::RateLimited, None),
            (Code::NotFound, ErrorKind::InvalidConfig, None),
            (Code::AlreadyExists, ErrorKind::Conflict, None),
            (Code::FailedPrecondition, ErrorKind::PermissionDenied, None),
            (Code::Aborted, ErrorKind::Conflict, None),
            (Code::InvalidArgument, ErrorKind::InvalidConfig, None),
            (Code::Unimplemented, ErrorKind::InvalidConfig, None),
            (
                Code::Unavailable,
                ErrorKind::Unavailable,
                Some(ErrorKind::OutcomeUnknown),
            ),
            (
                Code::Internal,
                ErrorKind::Unavailable,
                Some(ErrorKind::OutcomeUnknown),
            ),
            (
                Code::DeadlineExceeded,
                ErrorKind::Unavailable,
                Some(ErrorKind::OutcomeUnknown),
            ),
            (
                Code::Unknown,
                ErrorKind::Unavailable,
                Some(ErrorKind::OutcomeUnknown),
            ),
        ] {
            let refusal = status(code, json!([]));
            assert_eq!(kind(&refusal, ACCESS), read, "{code:?}");
            assert_eq!(kind(&refusal, ADD), write.unwrap_or(read), "{code:?}");
            let failed = understood(&refusal, ADD, &place());
            assert!(failed.is(code));
            assert!(!format!("{failed:?}").contains("canary"));
        }
    }

    #[test]
    fn a_refusal_names_the_permission_and_what_to_type() {
        let error = understood(&status(Code::PermissionDenied, json!([])), ADD, &place()).error;
        assert!(error.message().contains("secretmanager.versions.add"));
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("gcloud projects add-iam-policy-binding shop "));
        assert!(hint.contains("roles/secretmanager.secretVersionAdder"));
    }

    #[test]
    fn a_precondition_means_another_thing_to_each_method() {
        let refusal = status(Code::FailedPrecondition, json!([]));
        assert_eq!(kind(&refusal, DISABLE), ErrorKind::Conflict);
        assert_eq!(kind(&refusal, ADD), ErrorKind::PermissionDenied);
        assert_eq!(kind(&refusal, CREATE), ErrorKind::InvalidConfig);
        let error = understood(&refusal, CREATE, &place()).error;
        assert!(error.hint().unwrap().contains("replication="));
    }

    #[test]
    fn a_service_that_is_not_enabled_is_told_with_the_command_that_enables_it() {
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
        }]);
        let error = understood(&status(Code::PermissionDenied, details), LIST, &place()).error;
        let hint = "gcloud services enable secretmanager.googleapis.com --project=shop";
        assert_eq!(error.hint(), Some(hint));
    }

    #[test]
    fn how_long_to_wait_is_taken_from_the_answer() {
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": "7.5s",
        }]);
        let error = understood(&status(Code::ResourceExhausted, details), LIST, &place()).error;
        assert_eq!(error.retry_after(), Some(Duration::from_millis(7500)));
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "3".parse().unwrap());
        headers.insert("date", "Wed, 25 Nov 2026 01:02:03 GMT".parse().unwrap());
        let body = bytes::Bytes::from_static(b"canary");
        let failed = understood(&Refusal::http(429, headers, body), LIST, &place());
        assert_eq!(failed.error.kind(), ErrorKind::RateLimited);
        assert_eq!(failed.error.retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(failed.told_at, "2026-11-25T01:02:03Z".parse().ok());
        assert!(!format!("{failed:?}").contains("canary"));
    }

    #[test]
    fn answers_that_are_not_the_services_have_their_kinds() {
        for (http, read, write) in [
            (302, ErrorKind::InvalidConfig, ErrorKind::InvalidConfig),
            (
                403,
                ErrorKind::PermissionDenied,
                ErrorKind::PermissionDenied,
            ),
            (404, ErrorKind::InvalidConfig, ErrorKind::InvalidConfig),
            (413, ErrorKind::Unexpected, ErrorKind::Unexpected),
            (502, ErrorKind::Unavailable, ErrorKind::OutcomeUnknown),
        ] {
            let body = bytes::Bytes::from_static(b"<html>canary</html>");
            let refusal = Refusal::http(http, HeaderMap::new(), body);
            assert_eq!(kind(&refusal, LIST), read, "{http}");
            assert_eq!(kind(&refusal, CREATE), write, "{http}");
        }
    }

    #[test]
    fn a_change_that_was_certainly_not_sent_is_not_of_unknown_outcome() {
        let refused = Refusal::connect("connection refused");
        assert_eq!(kind(&refused, ADD), ErrorKind::Unavailable);
        let untrusted = Refusal::connect("invalid peer certificate: UnknownIssuer");
        assert_eq!(kind(&untrusted, ADD), ErrorKind::Untrusted);
        let token = CredentialsError::from_msg(true, "canary");
        assert_eq!(
            kind(&Refusal::authentication(token), ADD),
            ErrorKind::Unavailable
        );
        for lost in [Refusal::timeout("canary"), Refusal::io("canary")] {
            assert_eq!(kind(&lost, ADD), ErrorKind::OutcomeUnknown);
            assert_eq!(kind(&lost, LIST), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_login_that_has_ended_is_told_from_a_network_that_is_down() {
        let ended = CredentialsError::from_msg(false, "body=<{\"error\":\"invalid_grant\"}>");
        assert_eq!(not_logged_in(&ended).kind(), ErrorKind::Unauthenticated);
        assert!(not_logged_in(&ended).message().contains("expired"));
        let down = CredentialsError::from_msg(true, "tcp connect error");
        assert_eq!(not_logged_in(&down).kind(), ErrorKind::Unavailable);
    }
}
