//! What a server answered, and what its refusals mean.

use std::time::Duration;

use http::HeaderMap;
use secrets_api::{Error, ErrorKind, Result, Zeroizing};
use secrets_net::Sent;
use serde::Deserialize;

/// One answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// How soon a call that met a cluster without a leader may be made again.
const SOON: Duration = Duration::from_millis(250);

impl Answer {
    /// The body, read as JSON.
    ///
    /// # Errors
    /// `InvalidData`: what answers is no Vault. Nothing of the body is repeated.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|_| self.unlike())
    }

    /// The error of an answer that no Vault gives.
    pub(crate) fn unlike(&self) -> Error {
        let what = "the server's answer is not what Vault or OpenBao answers";
        Error::new(ErrorKind::InvalidData, what)
            .with_hint("does the address lead to the server itself, or to a page before it?")
    }

    /// What a change came to, read as JSON.
    ///
    /// # Errors
    /// `OutcomeUnknown`: something other than the server may have answered, and the change be made.
    pub(crate) fn made<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|_| self.unclear())
    }

    /// That a change was made of which there is nothing to say but warnings.
    ///
    /// # Errors
    /// As [`Answer::made`].
    pub(crate) fn done(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Told {
            // Every answer of the servers has it.
            #[serde(rename = "request_id")]
            _request_id: String,
        }
        if self.status == 204 && self.body.is_empty() {
            return Ok(());
        }
        self.made::<Told>().map(drop)
    }

    /// The error of a success that no Vault gives.
    pub(crate) fn unclear(&self) -> Error {
        let what = "the answer to a change is not what Vault or OpenBao answers";
        Error::new(ErrorKind::OutcomeUnknown, what)
            .with_hint("does the address lead to the server itself, or to a proxy before it?")
    }

    /// 404 without a word: nothing is there. A mount, namespace or path that the server does not know is
    /// answered by a message.
    pub(crate) fn is_absence(&self) -> bool {
        self.status == 404 && self.messages().is_empty()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The server's own messages. Those of Vault name paths and rules, never a value; what does not
    /// look like one of them is left out.
    fn messages(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Refusal {
            #[serde(default)]
            errors: Vec<String>,
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&self.body).ok();
        refusal.map(|r| r.errors).unwrap_or_default()
    }

    pub(crate) fn says(&self, part: &str) -> bool {
        self.messages().iter().any(|text| text.contains(part))
    }

    /// Whether the token itself was refused, rather than this one request. Vault and OpenBao
    /// answer a token they do not know with a bare "permission denied" (newer ones add "invalid
    /// token"), and a missing policy with a list of one error.
    pub(crate) fn refuses_token(&self) -> bool {
        let messages = self.messages();
        let bare = |text: &String| text == "permission denied" || text.contains("invalid token");
        matches!(self.status, 401 | 403) && messages.iter().any(bare)
            || self.status == 400 && self.says("missing client token")
    }

    /// What the refusal means.
    pub(crate) fn refusal(&self, sent: Sent) -> Error {
        let unknown = |what: &str| match sent {
            Sent::Read => Error::new(ErrorKind::Unavailable, what).with_retry_after(SOON),
            Sent::Write => Error::new(ErrorKind::OutcomeUnknown, what),
        };
        if self.refuses_token() {
            return Error::new(
                ErrorKind::Unauthenticated,
                "the token is not valid: it has expired, was revoked, or is another server's",
            )
            .with_hint("log in again: `vault login` or `bao login`, or set VAULT_TOKEN");
        }
        match self.status {
            403 => Error::new(
                ErrorKind::PermissionDenied,
                "our policies do not allow this",
            )
            .with_hint("`secrets doctor --policy` prints the least policy"),
            404 if self.says("no handler for route") => Error::new(
                ErrorKind::InvalidConfig,
                "there is no secrets engine at this mount",
            )
            .with_hint("`vault secrets list` shows the mounts; is the namespace right?"),
            404 if self.says("namespace not found") => {
                Error::new(ErrorKind::InvalidConfig, "there is no such namespace")
                    .with_hint("`namespace=…` of the store, or VAULT_NAMESPACE, names it")
            }
            404 | 405 if self.says("unsupported") => Error::new(
                ErrorKind::InvalidConfig,
                "the engine at this mount has no such path: it is of another kind",
            )
            .with_hint("`vault secrets list` shows the mounts and their kinds"),
            400 if self.says("check-and-set") => {
                Error::new(ErrorKind::Conflict, "it was changed by someone else")
            }
            400 if self.says("JSON input due to high complexity") => Error::unsupported(
                "the server takes no document of so many secrets in one request",
            )
            .with_hint(
                "keep each secret by itself, `?layout=each`; or raise the JSON limits of the server's listener",
            ),
            400 if self.says("from non-versioned to versioned") => {
                passing("the engine is being prepared")
            }
            400 if self.says("unknown role") => {
                Error::new(ErrorKind::InvalidConfig, "the engine has no such role")
                    .with_hint("`vault list MOUNT/roles` shows them")
            }
            400 if self.says("lease not found") => Error::new(
                ErrorKind::Conflict,
                "the lease is not there any more: it has ended",
            )
            .with_hint("have new credentials issued"),
            412 => passing("the server has not caught up yet"),
            413 => Error::unsupported("the server takes no request of this size"),
            429 => {
                let error = Error::new(
                    ErrorKind::RateLimited,
                    "the server asks to be called less often",
                );
                match self.retry_after() {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                }
            }
            _ if self.says("Vault is sealed")
                || self.says("OpenBao is sealed")
                || self.status == 503 =>
            {
                let error =
                    Error::new(ErrorKind::Unavailable, "the server is sealed, or not ready");
                error.with_hint("whoever holds the keys: `vault operator unseal`")
            }
            500 if self.says("active cluster node not found") || self.says("node not active") => {
                passing("the cluster has no leader at the moment")
            }
            500 if self.says("too large") => {
                Error::unsupported("the value is larger than the server's storage takes")
            }
            500.. => unknown("the server failed"),
            status => Error::new(
                ErrorKind::Unexpected,
                format!("the server answered {status}"),
            ),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get("retry-after")?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Something that passes by itself, soon.
fn passing(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, what).with_retry_after(SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_document_of_too_many_secrets_is_answered_with_what_to_do() {
        let body = r#"{"errors":["refused JSON input due to high complexity: exceeded maximum number of strings"]}"#;
        let error = answer(400, body).refusal(Sent::Write);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().unwrap().contains("layout=each"));
    }

    #[test]
    fn a_change_is_done_where_the_server_says_so_and_nobody_else() {
        let warned = r#"{"request_id":"1f","data":null,"warnings":["an old client"]}"#;
        for (status, body, is_done) in [
            (204, "", true),
            (200, warned, true),
            (200, "", false),
            (200, "{}", false),
            (200, &warned[..20], false),
            (200, "<html>canary</html>", false),
            (204, "canary", false),
        ] {
            match answer(status, body).done() {
                Ok(()) => assert!(is_done, "{status} {body}"),
                Err(error) => {
                    assert!(!is_done, "{status} {body}");
                    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
                    assert!(!format!("{error:?}").contains("canary"));
                }
            }
        }
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use ErrorKind::*;
        for (status, body, sent, kind) in [
            (
                403,
                r#"{"errors":["permission denied"]}"#,
                Sent::Read,
                Unauthenticated,
            ),
            (
                403,
                r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#,
                Sent::Read,
                Unauthenticated,
            ),
            (
                403,
                r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
                Sent::Write,
                PermissionDenied,
            ),
            (
                400,
                r#"{"errors":["missing client token"]}"#,
                Sent::Read,
                Unauthenticated,
            ),
            (
                400,
                r#"{"errors":["check-and-set parameter did not match the current version"]}"#,
                Sent::Write,
                Conflict,
            ),
            (429, r#"{"errors":[]}"#, Sent::Write, RateLimited),
            (
                503,
                r#"{"errors":["Vault is sealed"]}"#,
                Sent::Write,
                Unavailable,
            ),
            (
                500,
                r#"{"errors":["local node not active but active cluster node not found"]}"#,
                Sent::Write,
                Unavailable,
            ),
            (
                500,
                r#"{"errors":["internal error"]}"#,
                Sent::Read,
                Unavailable,
            ),
            (
                500,
                r#"{"errors":["internal error"]}"#,
                Sent::Write,
                OutcomeUnknown,
            ),
            (502, "<html>canary</html>", Sent::Write, OutcomeUnknown),
            (
                404,
                r#"{"errors":["no handler for route \"x/data/y\". route entry not found."]}"#,
                Sent::Read,
                InvalidConfig,
            ),
            (
                404,
                r#"{"errors":["namespace not found"]}"#,
                Sent::Read,
                InvalidConfig,
            ),
            (
                404,
                r#"{"errors":["1 error occurred:\n\t* unsupported path\n\n"]}"#,
                Sent::Read,
                InvalidConfig,
            ),
            (400, r#"{"errors":["canary"]}"#, Sent::Write, Unexpected),
            (413, "", Sent::Write, Unsupported),
            (418, "canary", Sent::Read, Unexpected),
        ] {
            let error = answer(status, body).refusal(sent);
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
