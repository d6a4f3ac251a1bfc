//! How the service says no: `google.rpc.Status` as JSON.
//! <https://cloud.google.com/apis/design/errors#http_mapping>

use serde_json::{Value, json};

use crate::web::Reply;

/// A refusal: a canonical code, a message, details.
pub(super) struct Status {
    code: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Status {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("INVALID_ARGUMENT", message)
    }

    pub(super) fn failed_precondition(message: impl Into<String>) -> Self {
        Self::new("FAILED_PRECONDITION", message)
    }

    /// Adds why, for programs: `google.rpc.ErrorInfo`.
    pub(super) fn because(mut self, reason: &str, domain: &str, metadata: &Value) -> Self {
        self.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": domain,
            "metadata": metadata,
        }));
        self
    }

    pub(super) fn reply(self) -> Reply {
        // <https://cloud.google.com/apis/design/errors#http_mapping>
        let http = match self.code {
            "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
            "UNAUTHENTICATED" => 401,
            "PERMISSION_DENIED" => 403,
            "NOT_FOUND" => 404,
            "ALREADY_EXISTS" | "ABORTED" => 409,
            "RESOURCE_EXHAUSTED" => 429,
            "UNIMPLEMENTED" => 501,
            "UNAVAILABLE" => 503,
            _ => 500,
        };
        let mut error = json!({
            "code": http,
            "message": self.message,
            "status": self.code,
        });
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details);
        }
        let reply = Reply::json(http, &json!({ "error": error }));
        match http {
            // <https://www.rfc-editor.org/rfc/rfc6750#section-3>
            401 => reply.with_header(
                "www-authenticate",
                "Bearer realm=\"https://accounts.google.com/\"",
            ),
            _ => reply,
        }
    }
}
