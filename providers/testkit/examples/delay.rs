//! A proxy for `scripts/bench`: hands bytes on to `HOST:PORT`, each way so many milliseconds later, and
//! counts connections and flights. `delay HOST:PORT MILLISECONDS` prints its own address; a line on its
//! standard input is answered by what was counted since the last one, as JSON.
//!
//! A flight is what the client sends before it has to wait for an answer: a TLS 1.3 handshake is one,
//! a request after it another.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::BufRead as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What one connection came to.
#[derive(Default)]
struct Counted {
    flights: AtomicUsize,
    client_waits: AtomicBool,
}

/// Hands on what `from` sends, later. `sent` is told of each piece as it comes in.
async fn hand_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
    sent: impl Fn(),
) {
    let (queue, mut queued) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let writing = tokio::spawn(async move {
        while let Some((due, bytes)) = queued.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sent();
        let _ = queue.send((Instant::now() + delay, buffer[..read].to_vec()));
    }
    drop(queue);
    let _ = writing.await;
}

async fn relay(client: TcpStream, upstream: String, delay: Duration, counted: Arc<Counted>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let (asks, answers) = (Arc::clone(&counted), counted);
    asks.client_waits.store(true, Ordering::SeqCst);
    tokio::join!(
        hand_on(client_in, server_out, delay, move || {
            // The first piece after an answer opens a flight.
            if asks.client_waits.swap(false, Ordering::SeqCst) {
                asks.flights.fetch_add(1, Ordering::SeqCst);
            }
        }),
        hand_on(server_in, client_out, delay, move || {
            answers.client_waits.store(true, Ordering::SeqCst);
        }),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().unwrap();
    let delay = Duration::from_millis(arguments.next().unwrap().parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let all: Arc<Mutex<Vec<Arc<Counted>>>> = Arc::default();
    let telling = Arc::clone(&all);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() {
                break;
            }
            let connections = std::mem::take(&mut *telling.lock().unwrap());
            let flights = connections
                .iter()
                .map(|one| one.flights.load(Ordering::SeqCst));
            let (sum, deepest) = flights.fold((0, 0), |(sum, most), n| (sum + n, most.max(n)));
            println!(
                "{{\"connections\": {}, \"flights\": {sum}, \"deepest\": {deepest}}}",
                connections.len()
            );
        }
        std::process::exit(0);
    });
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let counted = Arc::new(Counted::default());
        all.lock().unwrap().push(Arc::clone(&counted));
        tokio::spawn(relay(client, upstream.clone(), delay, counted));
    }
}
