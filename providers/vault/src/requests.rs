//! Requests that vaultrs has no type for, or none through which a value passes unseen: the bodies
//! that hold values are built and read here alone.

use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use secrets_api::Zeroizing;

/// A request to one path.
pub(crate) struct Raw {
    method: RequestMethod,
    path: String,
    query: Option<String>,
    body: Option<Zeroizing<Vec<u8>>>,
}

impl Raw {
    pub(crate) fn get(path: String) -> Self {
        Self {
            method: RequestMethod::GET,
            path,
            query: None,
            body: None,
        }
    }

    pub(crate) fn list(path: String) -> Self {
        Self {
            method: RequestMethod::LIST,
            ..Self::get(path)
        }
    }

    pub(crate) fn delete(path: String) -> Self {
        Self {
            method: RequestMethod::DELETE,
            ..Self::get(path)
        }
    }

    pub(crate) fn post(path: String, body: Zeroizing<Vec<u8>>) -> Self {
        Self {
            method: RequestMethod::POST,
            body: Some(body),
            ..Self::get(path)
        }
    }

    #[must_use]
    pub(crate) fn version(mut self, version: Option<u64>) -> Self {
        self.query = version.map(|n| format!("version={n}"));
        self
    }
}

impl Endpoint for Raw {
    type Response = serde_json::Value;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_vec()))
    }
}
