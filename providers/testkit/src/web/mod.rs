//! What fake services are made of: an HTTP or HTTPS server on loopback that hands each request to an
//! [`App`], keeps a log, and fails on demand as networks do. It knows no service, and keeps no body:
//! what was sent may hold a value.

mod fault;
mod server;
mod tls;

pub use fault::{Fault, Harm};
pub use server::{Seen, Server};
pub use tls::Authority;

use http::HeaderMap;

/// A request, read to its end.
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as it was sent, percent-encoding included.
    pub path: String,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first pair of the query with this key.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        let pair = self.query.iter().find(|(k, _)| k == key)?;
        Some(&pair.1)
    }

    /// A header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The path's parts between slashes, each decoded.
    pub fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts.map(decoded).collect()
    }

    /// The pairs of a form in the body.
    pub fn form(&self) -> Vec<(String, String)> {
        server::pairs(&String::from_utf8_lossy(&self.body))
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// The body is left out: it may hold a value.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.method,
            self.path,
            self.body.len()
        )
    }
}

/// `%41` to `A`; what is no such sequence stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// An answer.
#[derive(Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON document.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The body is left out: it may hold a value.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}

/// A service: what it answers to each request. Called by several connections at once.
pub trait App: Send + Sync + 'static {
    /// The answer, and with it the effect.
    fn answer(&self, request: &Request) -> Reply;
}

impl<F: Fn(&Request) -> Reply + Send + Sync + 'static> App for F {
    fn answer(&self, request: &Request) -> Reply {
        self(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_by_its_parts() {
        let request = Request {
            method: "GET".into(),
            path: "/v1/a%2Fb/%C3%BC/c%".into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        assert_eq!(request.segments(), ["v1", "a/b", "ü", "c%"]);
    }
}
