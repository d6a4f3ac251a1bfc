//! Who may ask: access tokens, the token endpoint that issues them, the metadata server of a machine at
//! Google, and accounts that sign their own.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use secrets_api::{OperationId, Timestamp};
use serde_json::{Value, json};

use super::World;
use super::status::Status;
use crate::web::{Reply, Request};

/// The scope a token needs:
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access>
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Whom a token that names no scope is for (<https://google.aip.dev/auth/4111>).
const AUDIENCE: &str = "https://secretmanager.googleapis.com/";

/// How long a signed token may last, with a little for clocks:
/// <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth>
const LONGEST: i64 = 3600 + 60;

/// A service account with its key.
pub struct ServiceAccount {
    email: String,
    key_id: String,
    key: KeyPair,
}

impl ServiceAccount {
    /// A new one, with an RSA key of 2048 bits.
    ///
    /// # Panics
    /// If no key can be made.
    pub fn new(email: &str) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self {
            email: email.to_owned(),
            key_id: OperationId::random().to_string(),
            key: key.expect("an RSA key can be made"),
        }
    }

    /// Its key file, as it is downloaded:
    /// <https://cloud.google.com/iam/docs/keys-create-delete>
    pub fn key_file(&self, project: &str, token_uri: &str) -> String {
        json!({
            "type": "service_account",
            "project_id": project,
            "private_key_id": self.key_id,
            "private_key": self.key.serialize_pem(),
            "client_email": self.email,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        })
        .to_string()
    }
}

/// The key is left out.
impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceAccount({})", self.email)
    }
}

/// What the fake knows of tokens.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) demanded: bool,
    /// Accounts by the ids of their keys: address and public key.
    known: BTreeMap<String, (String, Vec<u8>)>,
    refresh: BTreeSet<String>,
    issued: BTreeSet<String>,
}

impl Tokens {
    pub(super) fn know(&mut self, account: &ServiceAccount) {
        let public = account.key.public_key_raw().to_vec();
        let entry = (account.email.clone(), public);
        self.known.insert(account.key_id.clone(), entry);
    }

    pub(super) fn log_in(&mut self) -> String {
        let token = format!("1//{}", OperationId::random());
        self.refresh.insert(token.clone());
        token
    }

    pub(super) fn log_out(&mut self) {
        self.refresh.clear();
        self.issued.clear();
        self.known.clear();
    }

    /// A new access token, as the token endpoint and the metadata server give it.
    /// <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>
    fn issue(&mut self) -> Value {
        let token = format!("ya29.{}", OperationId::random());
        self.issued.insert(token.clone());
        json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" })
    }

    /// Whether the account that a token names has signed it, for us and for now.
    fn signed(&self, token: &str) -> bool {
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let json = |text: &str| serde_json::from_slice::<Value>(&part(text)?).ok();
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let message = &token[..header.len() + 1 + claims.len()];
        let (Some(header), Some(claims), Some(signature)) =
            (json(header), json(claims), part(signature))
        else {
            return false;
        };
        let known = header["kid"].as_str().and_then(|id| self.known.get(id));
        let Some((email, public)) = known else {
            return false;
        };
        let now = Timestamp::now().as_second();
        let (Some(from), Some(until)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
            return false;
        };
        let scopes = claims["scope"].as_str().unwrap_or_default();
        header["alg"] == "RS256"
            && header["typ"] == "JWT"
            && claims["iss"] == email.as_str()
            && claims["sub"] == email.as_str()
            && (scopes.split(' ').any(|scope| scope == SCOPE) || claims["aud"] == AUDIENCE)
            && from <= now
            && now < until
            && until - from <= LONGEST
            && verified(public, message.as_bytes(), &signature)
    }
}

/// RSASSA-PKCS1-v1_5 with SHA-256, `RS256` (RFC 7518, section 3.3).
fn verified(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    use rustls::pki_types::alg_id;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    algorithms
        .iter()
        .filter(|algorithm| {
            algorithm.public_key_alg_id() == alg_id::RSA_ENCRYPTION
                && algorithm.signature_alg_id() == alg_id::RSA_PKCS1_SHA256
        })
        .any(|algorithm| {
            algorithm
                .verify_signature(public, message, signature)
                .is_ok()
        })
}

/// Whether a request to the service is let in.
/// <https://cloud.google.com/apis/design/errors#http_mapping> (`UNAUTHENTICATED`)
pub(super) fn admit(tokens: &Tokens, request: &Request) -> Result<(), Status> {
    if !tokens.demanded {
        return Ok(());
    }
    let metadata = json!({ "service": "secretmanager.googleapis.com" });
    let refuse = |message: &str, reason: &str| {
        let status = Status::new("UNAUTHENTICATED", message);
        Err(status.because(reason, "googleapis.com", &metadata))
    };
    let Some(authorization) = request.header("authorization") else {
        return refuse(
            "Request is missing required authentication credential.",
            "CREDENTIALS_MISSING",
        );
    };
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    if tokens.issued.contains(token) || tokens.signed(token) {
        return Ok(());
    }
    refuse(
        "Request had invalid authentication credentials.",
        "ACCESS_TOKEN_EXPIRED",
    )
}

/// What the token endpoint or the metadata server answers, if the request is for one of them.
pub(super) fn answer(world: &World, request: &Request) -> Option<Reply> {
    match request.path.as_str() {
        "/token" => Some(exchange(&mut world.tokens(), request)),
        path if path.starts_with("/computeMetadata/") => Some(metadata(world, request)),
        _ => None,
    }
}

/// <https://developers.google.com/identity/protocols/oauth2/web-server#offline>; errors by RFC 6749,
/// section 5.2.
fn exchange(tokens: &mut Tokens, request: &Request) -> Reply {
    let refuse = |error: &str, description: &str| {
        let body = json!({ "error": error, "error_description": description });
        Reply::json(400, &body)
    };
    if request.method != "POST" {
        return Reply::empty(405);
    }
    // Fields come as a form by the standard; the endpoint takes JSON too.
    let json = request.json();
    let form = request.form();
    let field = |name: &str| match &json {
        Some(body) => body[name].as_str().map(str::to_owned),
        None => form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone()),
    };
    if field("grant_type").as_deref() != Some("refresh_token") {
        return refuse("unsupported_grant_type", "Invalid grant_type");
    }
    if field("client_id").is_none() || field("client_secret").is_none() {
        return refuse("invalid_request", "Missing required parameter: client_id");
    }
    let token = field("refresh_token").unwrap_or_default();
    if !tokens.refresh.contains(&token) {
        return refuse("invalid_grant", "Token has been expired or revoked.");
    }
    Reply::json(200, &tokens.issue())
}

/// <https://cloud.google.com/compute/docs/metadata/querying-metadata>
fn metadata(world: &World, request: &Request) -> Reply {
    let flavoured = |reply: Reply| reply.with_header("metadata-flavor", "Google");
    if request.header("metadata-flavor") != Some("Google") {
        return flavoured(Reply::empty(403));
    }
    let account = "/computeMetadata/v1/instance/service-accounts/default";
    let text = |text: &str| Reply {
        status: 200,
        headers: vec![("content-type".into(), "application/text".into())],
        body: text.as_bytes().to_vec(),
    };
    let path = request.path.as_str();
    flavoured(match path.strip_prefix(account) {
        Some("/token") => Reply::json(200, &world.tokens().issue()),
        Some("/email") => text("machine@example.iam.gserviceaccount.com"),
        _ if path == "/computeMetadata/v1/universe/universe-domain" => text("googleapis.com"),
        _ => Reply::empty(404),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::SigningKey as _;

    use super::*;

    fn claims(changed: &[(&str, Value)]) -> Value {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "iss": "a@b",
            "sub": "a@b",
            "scope": SCOPE,
            "iat": now - 10,
            "exp": now + 3600,
        });
        for (key, value) in changed {
            claims[*key] = value.clone();
        }
        claims
    }

    fn token(signer: &ServiceAccount, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = signer.key.sign(message.as_bytes()).expect("a key signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn only_a_token_that_the_account_has_signed_for_us_and_for_now_is_one() {
        let account = ServiceAccount::new("a@b");
        let mut tokens = Tokens::default();
        tokens.know(&account);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": account.key_id });
        let good = token(&account, &header, &claims(&[]));
        assert!(tokens.signed(&good));
        let by_audience = claims(&[("scope", Value::Null), ("aud", json!(AUDIENCE))]);
        assert!(tokens.signed(&token(&account, &header, &by_audience)));

        let now = Timestamp::now().as_second();
        for changed in [
            [("scope", json!("https://www.googleapis.com/auth/drive"))],
            [("sub", json!("c@d"))],
            [("exp", json!(now - 1))],
            [("iat", json!(now + 60))],
            [("exp", json!(now + 7200))],
        ] {
            let claims = claims(&changed);
            assert!(
                !tokens.signed(&token(&account, &header, &claims)),
                "{changed:?}"
            );
        }
        for (key, value) in [("alg", "none"), ("kid", "another")] {
            let mut other = header.clone();
            other[key] = json!(value);
            assert!(
                !tokens.signed(&token(&account, &other, &claims(&[]))),
                "{key}"
            );
        }
        let stranger = ServiceAccount::new("a@b");
        assert!(!tokens.signed(&token(&stranger, &header, &claims(&[]))));
        assert!(!tokens.signed(good.rsplit_once('.').unwrap_or_default().0));
        assert!(!tokens.signed("") && !tokens.signed("a.b.c"));
    }
}
