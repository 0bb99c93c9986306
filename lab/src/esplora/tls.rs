//! Esplora over TLS, with certificates that no client should trust.
//!
//! Handshakes run beside each other: a client that begins one and says no more holds nobody up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use axum::Router;
use rcgen::{date_time_ymd, CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{crypto, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::TlsAcceptor;

/// Connections whose handshake is done and which are not yet served.
const BACKLOG: usize = 64;

/// What is wrong with a certificate, beside that nobody vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing.
    SelfSigned,
    /// It is another host's.
    WrongName,
    /// It ended in 2020.
    Expired,
}

/// A server on 127.0.0.1, until it is dropped.
pub struct TlsServer {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl TlsServer {
    /// Serves `router` on a free port of 127.0.0.1. Must run inside a tokio runtime.
    pub async fn start(router: Router, certificate: Certificate) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(config(certificate)?));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (ready, secured) = mpsc::channel(BACKLOG);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    // A client that does not trust us ends it here: what it is there for.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = ready.send((stream, from)).await;
                    }
                });
            }
        });
        let serving = tokio::spawn(async move {
            let _ = axum::serve(Secured { address, secured }, router).await;
        });
        Ok(TlsServer { address, tasks: [accepting, serving] })
    }

    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Secured {
    address: SocketAddr,
    secured: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.secured.recv().await {
            Some(connection) => connection,
            // The listener is gone: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

fn config(certificate: Certificate) -> io::Result<ServerConfig> {
    let names = match certificate {
        Certificate::WrongName => ["esplora.example".to_owned()].to_vec(),
        Certificate::SelfSigned | Certificate::Expired => ["127.0.0.1".to_owned(), "localhost".to_owned()].to_vec(),
    };
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    if certificate == Certificate::Expired {
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let signed = params.self_signed(&key).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![signed.der().clone()], key))
        .map_err(io::Error::other)
}
