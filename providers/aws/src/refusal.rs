//! What the service's refusals mean. The service's own message is never passed on: it may repeat what
//! was sent. Of an error are used its code, its status, and of a denial who was denied what.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrets_api::{Error, ErrorKind, Result};
use secrets_net::Sent;

/// The most characters of a code or of an ARN that are passed on.
const WORD_CHARS: usize = 256;

/// How far apart the clocks may be before it is said (Signature Version 4 allows five minutes).
const SKEW: i64 = 240;

/// How far the service's clock is ahead of ours, as the last answer told.
#[derive(Debug)]
pub(crate) struct Clock(AtomicI64);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Clock {
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    /// Seconds; `None` before the first answer.
    pub(crate) fn ahead(&self) -> Option<i64> {
        let seconds = self.0.load(Ordering::Relaxed);
        (seconds != i64::MIN).then_some(seconds)
    }

    fn is_wrong(&self) -> bool {
        self.ahead().is_some_and(|s| s.abs() > SKEW)
    }
}

/// A call that was not carried out, or whose answer was lost.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: String,
    error: Error,
}

impl Refusal {
    fn new(code: &str, error: Error) -> Self {
        Self {
            code: code.to_owned(),
            error,
        }
    }

    /// A failure before any call.
    pub(crate) fn unmade(error: Error) -> Self {
        Self::new("", error)
    }

    /// No answer came in time.
    pub(crate) fn late(sent: Sent) -> Self {
        Self::new("", unanswered(sent, "AWS did not answer in time"))
    }

    /// A list whose pages do not end.
    pub(crate) fn endless() -> Self {
        let error = Error::new(
            ErrorKind::InvalidData,
            "the list of AWS does not come to an end",
        );
        Self::new("", error.with_hint("is the endpoint right?"))
    }

    /// A success that is none of the service's.
    pub(crate) fn unlike(sent: Sent) -> Self {
        let message = "the answer is not one of AWS Secrets Manager";
        let error = match sent {
            Sent::Read => Error::new(ErrorKind::Unexpected, message),
            Sent::Write => Error::new(ErrorKind::OutcomeUnknown, message),
        };
        Self::new("", error.with_hint("is the endpoint right?"))
    }

    /// The service's code for it.
    pub(crate) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.is(&["ResourceNotFoundException"])
    }

    /// The secret is in a state in which this cannot be done: scheduled for deletion, mostly.
    pub(crate) fn is_state(&self) -> bool {
        self.is(&["InvalidRequestException"])
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

/// Absence is an answer.
pub(crate) fn absent_is_none<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.is_absent() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// What became of a call. `action` is its name in IAM.
pub(crate) fn of<E>(
    error: &SdkError<E, HttpResponse>,
    action: &'static str,
    sent: Sent,
    clock: &Clock,
) -> Refusal
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(refusal) = without_credentials(error) {
        return refusal;
    }
    match error {
        SdkError::ConstructionFailure(_) => Refusal::new(
            "",
            Error::new(ErrorKind::InvalidConfig, "the request cannot be made")
                .with_hint("are region and endpoint right?"),
        ),
        SdkError::TimeoutError(_) => Refusal::late(sent),
        SdkError::DispatchFailure(failure) => undelivered(failure, sent),
        SdkError::ResponseError(response) => unreadable(response.raw(), action, sent, clock),
        SdkError::ServiceError(answer) => match answer.err().code() {
            Some(code) => {
                let message = answer.err().message().unwrap_or_default();
                told(code, message, answer.raw(), action, sent, clock)
            }
            None => unreadable(answer.raw(), action, sent, clock),
        },
        _ => Refusal::new(
            "",
            Error::new(ErrorKind::Unexpected, "the call to AWS failed"),
        ),
    }
}

/// One item of a batch that was refused by itself.
pub(crate) fn of_item(code: &str, message: &str, action: &'static str) -> Refusal {
    meaning(
        code,
        message,
        0,
        None,
        action,
        Sent::Read,
        &Clock::default(),
    )
}

/// The error's causes, to be searched for signs; never shown.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        text.push_str(&cause.to_string());
        text.push('\n');
        next = cause.source();
    }
    text.to_lowercase()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// No credentials were had: the call was not made.
fn without_credentials<E>(error: &SdkError<E, HttpResponse>) -> Option<Refusal>
where
    E: StdError + 'static,
{
    let source = error.source()?;
    let failed: &CredentialsError = find(source)?;
    let text = causes(failed);
    let refuse = |kind, message: &str, hint: &str| {
        Some(Refusal::new("", Error::new(kind, message).with_hint(hint)))
    };
    match failed {
        CredentialsError::CredentialsNotLoaded(_) => refuse(
            ErrorKind::Unauthenticated,
            "there are no AWS credentials",
            "log in with `aws sso login`, name a profile (`?profile=NAME` or AWS_PROFILE), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        CredentialsError::ProviderTimedOut(_) => refuse(
            ErrorKind::Unavailable,
            "the AWS credentials did not come in time",
            "is the source of the credentials reachable: SSO, STS, the container or the instance?",
        ),
        _ if text.contains("accessdenied") => refuse(
            ErrorKind::PermissionDenied,
            "the role may not be taken on",
            "let its trust policy and the caller's policy allow sts:AssumeRole",
        ),
        _ if text.contains("sso") => refuse(
            ErrorKind::Unauthenticated,
            "the AWS session is over",
            "log in again: `aws sso login`",
        ),
        _ if text.contains("expired") => refuse(
            ErrorKind::Unauthenticated,
            "the AWS credentials have expired",
            "fetch new ones, or log in again: `aws sso login`",
        ),
        _ if text.contains("dispatch failure") || text.contains("timeout") => refuse(
            ErrorKind::Unavailable,
            "the source of the AWS credentials cannot be reached",
            "is STS, SSO, the container's or the instance's endpoint reachable?",
        ),
        _ => refuse(
            ErrorKind::Unauthenticated,
            "the AWS credentials cannot be had",
            "see what `aws sts get-caller-identity` says",
        ),
    }
}

/// The request did not arrive, or its answer did not.
fn undelivered(failure: &DispatchFailure, sent: Sent) -> Refusal {
    let text = failure
        .as_connector_error()
        .map(|error| causes(error))
        .unwrap_or_default();
    let unsent = failure.is_user()
        || ["client error (connect)", "connect timeout", "dns error"]
            .iter()
            .any(|sign| text.contains(sign));
    if !unsent {
        let message = if failure.is_timeout() {
            "AWS did not answer in time"
        } else {
            "the connection ended before the answer"
        };
        return Refusal::new("", unanswered(sent, message));
    }
    if text.contains("certificate") {
        let error = Error::new(
            ErrorKind::Untrusted,
            "the certificate of the AWS endpoint is not trusted",
        );
        return Refusal::new(
            "",
            error.with_hint("name the authority that signed it: SSL_CERT_FILE=ca.pem"),
        );
    }
    let why = [
        ("refused", "the connection was refused"),
        ("dns", "its name is not known"),
        ("lookup", "its name is not known"),
        ("timeout", "no connection in time"),
        ("unreachable", "there is no way to it"),
        ("corrupt message", "it does not speak TLS at this port"),
    ]
    .into_iter()
    .find(|(sign, _)| text.contains(sign))
    .map_or_else(String::new, |(_, why)| format!(": {why}"));
    let error = Error::new(
        ErrorKind::Unavailable,
        format!("the AWS endpoint cannot be reached{why}"),
    );
    Refusal::new(
        "",
        error.with_hint("are region and endpoint right, and is there a way out to the network?"),
    )
}

fn unanswered(sent: Sent, message: &str) -> Error {
    match sent {
        Sent::Read => Error::new(ErrorKind::Unavailable, message),
        Sent::Write => Error::new(ErrorKind::OutcomeUnknown, message),
    }
}

/// An answer that is not in the service's own form: IAM's denials may come as XML, and what stands
/// between may answer for itself.
fn unreadable(raw: &HttpResponse, action: &'static str, sent: Sent, clock: &Clock) -> Refusal {
    let status = raw.status().as_u16();
    let body = raw.body().bytes().unwrap_or_default();
    if let Some(code) = xml_code(body) {
        return told(&code, "", raw, action, sent, clock);
    }
    match status {
        400.. => told("", "", raw, action, sent, clock),
        _ => Refusal::unlike(sent),
    }
}

/// What stands between `<Code>` and `</Code>`.
fn xml_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let fits = code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    fits.then(|| code.to_owned())
}

fn told(
    code: &str,
    message: &str,
    raw: &HttpResponse,
    action: &'static str,
    sent: Sent,
    clock: &Clock,
) -> Refusal {
    let wait = raw
        .headers()
        .get("retry-after")
        .and_then(|s| s.parse().ok());
    let status = raw.status().as_u16();
    meaning(code, message, status, wait, action, sent, clock)
}

/// The table. Codes: API reference of Secrets Manager, "Common Errors" and each call's "Errors".
fn meaning(
    code: &str,
    message: &str,
    status: u16,
    wait: Option<u64>,
    action: &'static str,
    sent: Sent,
    clock: &Clock,
) -> Refusal {
    let refuse = |kind, message: &str, hint: &str| {
        Refusal::new(code, Error::new(kind, message).with_hint(hint))
    };
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "NotAuthorized"
        | "UnauthorizedOperation"
        | "OptInRequired" => denied(code, message, action),
        "ExpiredToken" | "ExpiredTokenException" => refuse(
            ErrorKind::Unauthenticated,
            "the AWS session has expired",
            "log in again: `aws sso login`, or fetch new credentials",
        ),
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => skewed(code, clock),
        "InvalidSignatureException" | "SignatureDoesNotMatch" if clock.is_wrong() => {
            skewed(code, clock)
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignature" => refuse(
            ErrorKind::Unauthenticated,
            "AWS does not accept the signature: the secret access key is not the one of the access key id",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from the same pair; if they are, set this machine's clock",
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => refuse(
            ErrorKind::Unauthenticated,
            "AWS does not know these credentials",
            "are they deleted, inactive, or of another partition? see what `aws sts get-caller-identity` says",
        ),
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown" => throttled(code, wait),
        "DecryptionFailure" => refuse(
            ErrorKind::PermissionDenied,
            "the secret's KMS key cannot be used to read it",
            "is the key enabled, and does its policy allow kms:Decrypt to this caller?",
        ),
        "EncryptionFailure" => refuse(
            ErrorKind::PermissionDenied,
            "the secret's KMS key cannot be used to write it",
            "is the key enabled, and does its policy allow kms:GenerateDataKey and kms:Decrypt to this caller?",
        ),
        "LimitExceededException" => refuse(
            ErrorKind::Unexpected,
            "a quota of AWS Secrets Manager is used up",
            "a secret has at most 100 versions and 20 stages; versions of the last 24 hours are not removed",
        ),
        "ResourceExistsException" => Refusal::new(
            code,
            Error::new(
                ErrorKind::Conflict,
                "the operation's id was used for another value before",
            ),
        ),
        "ResourceNotFoundException" => refuse(
            ErrorKind::InvalidConfig,
            "there is no such secret",
            "are name, region and account right?",
        ),
        "InvalidRequestException" => refuse(
            ErrorKind::InvalidConfig,
            "the secret is in a state in which AWS does not do this",
            "is it scheduled for deletion, or managed by another service?",
        ),
        "InvalidParameterException"
        | "ValidationException"
        | "SerializationException"
        | "MalformedPolicyDocumentException" => refuse(
            ErrorKind::InvalidConfig,
            "AWS does not accept a parameter",
            "are name, KMS key and tags right?",
        ),
        _ if status == 429 => throttled(code, wait),
        _ if matches!(status, 401 | 403) => denied(code, message, action),
        "InternalServiceError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Refusal::new(code, broken(sent)),
        _ if status >= 500 => Refusal::new(code, broken(sent)),
        _ => {
            let code = word(code);
            let what = if code.is_empty() {
                format!("AWS answers with status {status}")
            } else {
                format!("AWS answers with {code}")
            };
            Refusal::new(&code, Error::new(ErrorKind::Unexpected, what))
        }
    }
}

fn broken(sent: Sent) -> Error {
    unanswered(sent, "AWS Secrets Manager failed inside")
}

fn throttled(code: &str, wait: Option<u64>) -> Refusal {
    let error = Error::new(ErrorKind::RateLimited, "AWS asks to be called less often");
    let error = match wait {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
        None => error,
    };
    Refusal::new(code, error)
}

fn skewed(code: &str, clock: &Clock) -> Refusal {
    let by = match clock.ahead() {
        Some(s) if s > 0 => format!(": it is {s} seconds behind AWS"),
        Some(s) if s < 0 => format!(": it is {} seconds ahead of AWS", -s),
        _ => String::new(),
    };
    let error = Error::new(
        ErrorKind::Unauthenticated,
        format!("this machine's clock is wrong{by}"),
    );
    Refusal::new(
        code,
        error.with_hint("set it, and keep it set: `timedatectl set-ntp true`"),
    )
}

/// A denial. IAM says who was denied what: "User: ARN is not authorized to perform: ACTION …" (IAM user
/// guide, "Troubleshoot access denied error messages").
fn denied(code: &str, message: &str, action: &'static str) -> Refusal {
    let after = |sign: &str| {
        let (_, rest) = message.split_once(sign)?;
        let found = word(rest.split_whitespace().next()?);
        (!found.is_empty()).then_some(found)
    };
    let what = after("to perform: ").unwrap_or_else(|| action.to_owned());
    let message = match after("User: ") {
        Some(who) => format!("{who} may not do {what}"),
        None => format!("{what} is not allowed"),
    };
    let error = Error::new(ErrorKind::PermissionDenied, message);
    Refusal::new(
        code,
        error.with_hint("allow it: `secrets doctor --policy` prints the policy this store needs"),
    )
}

/// A word of the service's, if it is made of what names and ARNs are made of, and no longer than they
/// are.
fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":/_+=,.@*-".contains(c);
    let plain = text.len() <= WORD_CHARS && text.chars().all(fits);
    if plain {
        text.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(code: &str, status: u16, sent: Sent) -> ErrorKind {
        meaning(
            code,
            "",
            status,
            None,
            "secretsmanager:X",
            sent,
            &Clock::default(),
        )
        .kind()
    }

    #[test]
    fn each_code_has_its_kind() {
        for (code, expected) in [
            ("AccessDenied", ErrorKind::PermissionDenied),
            ("AccessDeniedException", ErrorKind::PermissionDenied),
            ("ExpiredToken", ErrorKind::Unauthenticated),
            ("ExpiredTokenException", ErrorKind::Unauthenticated),
            ("UnrecognizedClientException", ErrorKind::Unauthenticated),
            ("InvalidSignatureException", ErrorKind::Unauthenticated),
            ("RequestTimeTooSkewed", ErrorKind::Unauthenticated),
            ("ThrottlingException", ErrorKind::RateLimited),
            ("DecryptionFailure", ErrorKind::PermissionDenied),
            ("EncryptionFailure", ErrorKind::PermissionDenied),
            ("LimitExceededException", ErrorKind::Unexpected),
            ("ResourceExistsException", ErrorKind::Conflict),
            ("Unheard-of", ErrorKind::Unexpected),
        ] {
            assert_eq!(kind(code, 400, Sent::Write), expected, "{code}");
        }
        assert_eq!(kind("", 403, Sent::Read), ErrorKind::PermissionDenied);
        assert_eq!(kind("", 429, Sent::Read), ErrorKind::RateLimited);
    }

    #[test]
    fn a_failure_inside_the_service_leaves_a_write_unknown() {
        for code in ["InternalServiceError", "ServiceUnavailable", "", "Whatever"] {
            assert_eq!(kind(code, 500, Sent::Read), ErrorKind::Unavailable);
            assert_eq!(kind(code, 500, Sent::Write), ErrorKind::OutcomeUnknown);
        }
    }

    #[test]
    fn a_denial_says_who_may_not_do_what_and_repeats_nothing_else() {
        let told = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                    secretsmanager:GetSecretValue on resource: shop because canary";
        let error = denied("AccessDenied", told, "secretsmanager:X").into_error();
        assert_eq!(
            error.message(),
            "arn:aws:iam::123456789012:user/ci may not do secretsmanager:GetSecretValue"
        );
        let odd = "User: <canary> is not authorized to perform: <canary>";
        let error = denied("AccessDenied", odd, "secretsmanager:X").into_error();
        assert_eq!(error.message(), "secretsmanager:X is not allowed");
    }

    #[test]
    fn a_refused_signature_is_the_clock_where_the_clock_is_wrong() {
        let clock = Clock::default();
        clock.set(-3600);
        let refusal = meaning(
            "InvalidSignatureException",
            "",
            400,
            None,
            "x",
            Sent::Read,
            &clock,
        );
        assert!(
            refusal
                .into_error()
                .message()
                .contains("3600 seconds ahead")
        );
    }

    #[test]
    fn a_code_is_found_in_xml() {
        let body = b"<ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>canary</Message></Error></Errors></ErrorResponse>";
        assert_eq!(xml_code(body).as_deref(), Some("AccessDenied"));
        assert_eq!(xml_code(b"<Code>a b</Code>"), None);
        assert_eq!(xml_code(b"\xff"), None);
    }
}
