//! The server: a thread with a runtime of its own, on a loopback port of the kernel's choosing, gone
//! when it is dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::{App, Authority, Fault, Harm, Reply, Request, decoded};

/// One request as it was met, without what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Which connection it came by, from 0.
    pub connection: usize,
}

/// What the server's tasks share.
struct Shared {
    app: Arc<dyn App>,
    faults: Mutex<Vec<Arc<Fault>>>,
    log: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts one over plain HTTP.
    ///
    /// # Panics
    /// If the operating system gives no port.
    pub fn plain(app: impl App) -> Self {
        Self::start(Arc::new(app), None)
    }

    /// Starts one over TLS that speaks for `localhost`, `127.0.0.1` and `names`.
    ///
    /// # Panics
    /// If the operating system gives no port.
    pub fn over_tls(app: impl App, authority: &Authority, names: &[&str]) -> Self {
        let all: Vec<&str> = ["localhost", "127.0.0.1"]
            .into_iter()
            .chain(names.iter().copied())
            .collect();
        Self::start(
            Arc::new(app),
            Some(TlsAcceptor::from(authority.server(&all))),
        )
    }

    fn start(app: Arc<dyn App>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        listener.set_nonblocking(true).expect("a socket of ours");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            app,
            faults: Mutex::default(),
            log: Mutex::default(),
            connections: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            crate::block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, tls, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            shared,
            address,
            scheme,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Its address, without a final slash; by name where it speaks TLS.
    pub fn url(&self) -> String {
        match self.scheme {
            "https" => format!("https://localhost:{}", self.address.port()),
            _ => format!("http://{}", self.address),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it does to requests from now on, before what it was told earlier.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).insert(0, Arc::new(fault));
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The requests so far, oldest first; those that were dropped are among them.
    pub fn log(&self) -> Vec<Seen> {
        lock(&self.shared.log).clone()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many requests were under way at once, at most.
    pub fn most_under_way(&self) -> usize {
        self.shared.most_under_way.load(Ordering::SeqCst)
    }

    /// Forgets the log and the counts.
    pub fn forget(&self) {
        lock(&self.shared.log).clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.most_under_way.store(0, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.url())
    }
}

async fn accept(listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, number, shared).await,
                Some(tls) => {
                    // A client that does not trust us ends here.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, number, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    number: usize,
    shared: Arc<Shared>,
) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, number, request).await }
    });
    // An error here is a connection that was dropped, by us or by the client.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The connection is to end without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

async fn answer(
    shared: &Shared,
    connection: usize,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Payload>, Dropped> {
    let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_under_way.fetch_max(now, Ordering::SeqCst);
    let reply = outcome(shared, connection, request).await;
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    let (reply, is_whole) = reply?;
    if !is_whole && reply.body.is_empty() {
        return Err(Dropped);
    }
    Ok(response(reply, is_whole))
}

/// The answer, and whether all of it is to arrive.
async fn outcome(
    shared: &Shared,
    connection: usize,
    request: hyper::Request<Incoming>,
) -> Result<(Reply, bool), Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let query = head.uri.query().unwrap_or_default();
    lock(&shared.log).push(Seen {
        method: head.method.to_string(),
        target: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        connection,
    });
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: pairs(query),
        headers: head.headers,
        body: body.to_vec(),
    };
    let faults: Vec<_> = lock(&shared.faults).clone();
    for harm in faults.iter().filter_map(|fault| fault.strike(&request)) {
        match harm {
            Harm::Latency(wait) => tokio::time::sleep(wait).await,
            Harm::Answer(reply) => return Ok((reply, true)),
            Harm::DropBefore => return Err(Dropped),
            Harm::DropAfter => {
                shared.app.answer(&request);
                return Err(Dropped);
            }
            Harm::AnswerAfter(reply) => {
                shared.app.answer(&request);
                return Ok((reply, true));
            }
            Harm::CutShort => return Ok((shared.app.answer(&request), false)),
        }
    }
    Ok((shared.app.answer(&request), true))
}

/// What is sent of an answer's body, where not all of it arrives: the first half, then nothing for one
/// turn, in which that is sent, then the end of the connection.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    All,
    Half,
    Pause,
    Drop,
}

/// An answer's body, of which the client is told the whole length.
#[derive(Debug)]
struct Payload {
    bytes: Bytes,
    left: Left,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        match self.left {
            Left::All if self.bytes.is_empty() => Poll::Ready(None),
            Left::All => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes))))),
            Left::Half => {
                self.left = Left::Pause;
                let half = self.bytes.len() / 2;
                Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(half)))))
            }
            Left::Pause => {
                self.left = Left::Drop;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Left::Drop => Poll::Ready(Some(Err(Dropped))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Left::All && self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// The pairs of a query or of a form (`application/x-www-form-urlencoded`).
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let plain = |text: &str| decoded(&text.replace('+', " "));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (plain(key), plain(value)))
        .collect()
}

fn response(reply: Reply, is_whole: bool) -> hyper::Response<Payload> {
    let mut built = hyper::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        built = built.header(name, value);
    }
    let payload = |bytes, is_whole| Payload {
        bytes,
        left: if is_whole { Left::All } else { Left::Half },
    };
    built
        .body(payload(Bytes::from(reply.body), is_whole))
        .unwrap_or_else(|_| {
            // A fake that answers with a header that is none: its own test is to notice.
            let mut broken = hyper::Response::new(payload(Bytes::new(), true));
            *broken.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
}
