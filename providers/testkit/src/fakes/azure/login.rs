//! Those who give tokens: Entra's token endpoint, a machine's metadata service, an App Service's
//! endpoint. And whether a token is one they gave.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrets_api::OperationId;
use serde_json::{Value, json};

use super::{ASSERTION, CLIENT, CLIENT_SECRET, IDENTITY_HEADER, TENANT};
use crate::web::{Reply, Request};

/// What tokens for a vault are for: "the resource is https://vault.azure.net".
/// <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#authentication>
const RESOURCE: &str = "https://vault.azure.net";

/// How long a token lasts, in seconds.
const LASTS: u64 = 3599;

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The tokens that were given and hold.
pub(super) struct Tokens {
    given: Vec<String>,
    /// What the vault asks tokens for.
    pub(super) resource: String,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            given: Vec::new(),
            resource: RESOURCE.to_owned(),
        }
    }
}

/// Why a request is not let in.
pub(super) struct Refused {
    pub(super) message: &'static str,
    pub(super) resource: String,
}

impl Tokens {
    pub(super) fn revoke(&mut self) {
        self.given.clear();
    }

    pub(super) fn give_for_vault(&mut self) -> String {
        self.give(RESOURCE)
    }

    /// A token as Entra makes them: three parts, the middle one its claims.
    /// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
    fn give(&mut self, audience: &str) -> String {
        let claims = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{TENANT}/"),
            "appid": CLIENT,
            "oid": "99999999-8888-7777-6666-555555555555",
            "tid": TENANT,
            "iat": now(),
            "exp": now() + LASTS,
            "uti": OperationId::random().to_string(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "JWT", "alg": "RS256" });
        let token = format!("{}.{}.fake", part(&header), part(&claims));
        if audience == RESOURCE {
            self.given.push(token.clone());
        }
        token
    }

    /// "AKV10000: Request is missing a Bearer or PoP token", or one that is not accepted.
    /// <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes#http-401-unauthenticated-request>
    pub(super) fn check(&self, request: &Request) -> Result<(), Refused> {
        let refused = |message| {
            Err(Refused {
                message,
                resource: self.resource.clone(),
            })
        };
        let Some(header) = request.header("authorization") else {
            return refused("AKV10000: Request is missing a Bearer or PoP token.");
        };
        let known = header
            .strip_prefix("Bearer ")
            .is_some_and(|token| self.given.iter().any(|given| given == token));
        if known {
            Ok(())
        } else {
            refused("AKV10022: Invalid audience or expired token.")
        }
    }
}

/// The application that may log in.
#[derive(Default)]
pub(super) struct Logins {
    pub(super) expired: bool,
}

impl Logins {
    /// `POST /{tenant}/oauth2/v2.0/token`, with a client secret or an assertion.
    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#get-a-token>
    pub(super) fn token(&self, request: &Request, tokens: &mut Tokens) -> Reply {
        let segments = request.segments();
        let [tenant, "oauth2", "v2.0", "token"] =
            &*segments.iter().map(String::as_str).collect::<Vec<_>>()
        else {
            return Reply::empty(404);
        };
        if request.method != "POST" {
            return Reply::empty(405);
        }
        if *tenant != TENANT {
            return refusal(400, "invalid_request", 90002, "Tenant not found.");
        }
        let form = request.form();
        let field = |key: &str| {
            let pair = form.iter().find(|(k, _)| k == key);
            pair.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        if field("grant_type") != "client_credentials" {
            return refusal(
                400,
                "unsupported_grant_type",
                70003,
                "Unsupported grant type.",
            );
        }
        if field("client_id") != CLIENT {
            let message = "Application was not found in the directory.";
            return refusal(400, "unauthorized_client", 700_016, message);
        }
        let proven = match (field("client_secret"), field("client_assertion")) {
            ("", "") => Err((401, 7_000_216, "A client secret or assertion is required.")),
            ("", assertion) => self.check_assertion(field("client_assertion_type"), assertion),
            (secret, _) => self.check_secret(secret),
        };
        if let Err((status, number, message)) = proven {
            return refusal(status, "invalid_client", number, message);
        }
        let Some(audience) = field("scope").strip_suffix("/.default") else {
            return refusal(400, "invalid_scope", 1_002_012, "The scope is not valid.");
        };
        Reply::json(
            200,
            &json!({
                "token_type": "Bearer",
                "expires_in": LASTS,
                "ext_expires_in": LASTS,
                "access_token": tokens.give(audience),
            }),
        )
    }

    /// AADSTS7000215 and AADSTS7000222.
    /// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes#aadsts-error-codes>
    fn check_secret(&self, secret: &str) -> Result<(), (u16, u32, &'static str)> {
        if secret != CLIENT_SECRET {
            return Err((401, 7_000_215, "Invalid client secret provided."));
        }
        if self.expired {
            return Err((
                401,
                7_000_222,
                "The provided client secret keys are expired.",
            ));
        }
        Ok(())
    }

    /// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential>
    fn check_assertion(&self, kind: &str, assertion: &str) -> Result<(), (u16, u32, &'static str)> {
        if kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            return Err((400, 50_027, "The assertion type is not supported."));
        }
        if assertion != ASSERTION {
            return Err((401, 700_211, "No matching federated identity record found."));
        }
        Ok(())
    }
}

/// An error as Entra writes it: the number stands in the description and in `error_codes`.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes#handling-error-codes-in-your-application>
fn refusal(status: u16, word: &str, number: u32, message: &str) -> Reply {
    let id = OperationId::random().to_string();
    Reply::json(
        status,
        &json!({
            "error": word,
            "error_description": format!("AADSTS{number}: {message} Trace ID: {id}"),
            "error_codes": [number],
            "timestamp": "2026-01-01 00:00:00Z",
            "trace_id": id,
            "correlation_id": id,
        }),
    )
}

/// A machine's metadata service and an App Service's endpoint.
/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http>
/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
pub(super) fn managed(request: &Request, tokens: &mut Tokens) -> Reply {
    let wrong = |message: &str| {
        let body = json!({ "error": "invalid_request", "error_description": message });
        Reply::json(400, &body)
    };
    let version = match request.path.as_str() {
        "/metadata/identity/oauth2/token" => {
            if request.header("metadata") != Some("true") {
                return wrong("Required metadata header not specified");
            }
            "2018-02-01"
        }
        "/msi/token" => {
            if request.header("x-identity-header") != Some(IDENTITY_HEADER) {
                return Reply::empty(401);
            }
            "2019-08-01"
        }
        _ => return Reply::empty(404),
    };
    if request.method != "GET" || request.parameter("api-version") != Some(version) {
        return wrong("The api-version is not supported");
    }
    if request
        .parameter("client_id")
        .is_some_and(|id| id != CLIENT)
    {
        return wrong("Identity not found");
    }
    let Some(audience) = request.parameter("resource") else {
        return wrong("Required audience parameter not specified");
    };
    // Every number is a text here.
    Reply::json(
        200,
        &json!({
            "access_token": tokens.give(audience),
            "client_id": CLIENT,
            "expires_in": LASTS.to_string(),
            "expires_on": (now() + LASTS).to_string(),
            "ext_expires_in": LASTS.to_string(),
            "not_before": now().to_string(),
            "resource": audience,
            "token_type": "Bearer",
        }),
    )
}
