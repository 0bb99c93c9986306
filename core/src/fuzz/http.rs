//! Whole HTTP answers, over a socket into the real client: status lines, headers, lengths and chunks that lie.

use super::{refused, Target};
use crate::chain::Esplora;
use crate::error::Code;
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::Network;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub(super) fn targets() -> Vec<Target> {
    let server = Server::start();
    vec![Target::new("http", 5_000, &ANSWERS, move |input| server.answers(input))]
}

const ANSWERS: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"1\":2.5,\"1008\":1.0}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"1\":\r\n4\r\n2.5}\r\n0\r\nTrailer: x\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n{}",
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nslow",
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!DOCTYPE html>",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}",
];

/// Writes what it is told into every connection and closes it.
struct Server {
    runtime: Runtime,
    esplora: Esplora,
    answer: Rc<RefCell<Vec<u8>>>,
    listener: TcpListener,
}

impl Server {
    fn start() -> Server {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let esplora = Esplora::new(&url, Network::Regtest, &DEFAULTS, Resolver::new()).unwrap();
        Server { runtime, esplora, answer: Rc::default(), listener }
    }

    fn answers(&self, input: &[u8]) -> bool {
        self.answer.replace(input.to_vec());
        self.runtime.block_on(async {
            let asked = async {
                let answer = self.esplora.fee_estimates().await;
                answer.map_or_else(|error| refused(&error, &[Code::ChainUnavailable]), |_| true)
            };
            tokio::select! {
                taken = asked => taken,
                () = self.serve() => unreachable!("it serves for ever"),
            }
        })
    }

    async fn serve(&self) {
        loop {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            let answer = self.answer.borrow().clone();
            // The client may have heard enough before the end.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    }
}
