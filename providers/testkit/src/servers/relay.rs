//! What stands between a client and a real server: an [`App`] that sends each request on and answers
//! what was answered, so that the faults, the log and the counts of a
//! [`web::Server`](crate::web::Server) are had of a server that knows nothing of them.

use std::sync::mpsc;

use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::web::{App, Reply, Request};

/// A request, and where its answer is waited for.
type Sent = (reqwest::Request, mpsc::Sender<Reply>);

/// Sends requests on to one server over plain HTTP.
#[derive(Debug)]
pub struct Relay {
    address: reqwest::Url,
    requests: UnboundedSender<Sent>,
}

impl Relay {
    /// To the server at this address.
    ///
    /// # Panics
    /// If that is no address, or no client can be made.
    pub fn to(address: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build()
            .expect("a client");
        let (requests, received) = unbounded_channel();
        // A runtime of its own: the caller's waits for the answer.
        std::thread::spawn(move || crate::block_on(send_on(client, received)));
        Self {
            address: address.parse().expect("an address"),
            requests,
        }
    }

    fn request(&self, request: &Request) -> reqwest::Request {
        let mut url = self.address.clone();
        url.set_path(&request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).expect("a method");
        let mut sent = reqwest::Request::new(method, url);
        *sent.headers_mut() = request.headers.clone();
        for ours in [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            sent.headers_mut().remove(ours);
        }
        *sent.body_mut() = Some(request.body.clone().into());
        sent
    }
}

impl App for Relay {
    fn answer(&self, request: &Request) -> Reply {
        let (answer, answered) = mpsc::channel();
        let sent = self.requests.send((self.request(request), answer));
        // 502: nobody answers there any more.
        let reply = sent.ok().and_then(|()| answered.recv().ok());
        reply.unwrap_or_else(|| Reply::empty(502))
    }
}

/// Until the relay is gone.
async fn send_on(client: reqwest::Client, mut received: UnboundedReceiver<Sent>) {
    while let Some((request, answer)) = received.recv().await {
        if let Some(reply) = exchange(&client, request).await {
            let _ = answer.send(reply);
        }
    }
}

async fn exchange(client: &reqwest::Client, request: reqwest::Request) -> Option<Reply> {
    let response = client.execute(request).await.ok()?;
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .filter(|(name, _)| ![CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING].contains(*name))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let body = response.bytes().await.ok()?.to_vec();
    Some(Reply {
        status,
        headers,
        body,
    })
}
