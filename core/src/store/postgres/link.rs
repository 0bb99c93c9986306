//! One connection to the server, driven by whoever asks over it.
//!
//! There is no task behind it: between two questions nobody polls the connection, and dropping it closes the socket in the same
//! instant, wherever it stands. So an operation that is cut short leaves nothing, and nothing outlives its store. Questions that are
//! asked together leave in one flush, so they cost one round trip.
//!
//! Every statement is `query_typed`: parsed, bound and run in one message chain without a name, which transaction poolers take.

use super::fault::Fault;
use super::tls::{Secured, Tls};
use crate::config::{ChannelBinding, PostgresHost, PostgresTls, PostgresUrl};
use crate::net::dns::Resolver;
use crate::net::{tcp, NetError};
use std::future::poll_fn;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{self, SslMode, SslNegotiation};
use tokio_postgres::{Client, Config, Connection};

/// A stream of bytes, of whatever kind.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

type AnyWire = Box<dyn Wire>;

/// See the module's head.
pub(super) struct Link {
    client: Client,
    connection: Connection<AnyWire, Secured<AnyWire>>,
}

impl Link {
    /// Connects and logs in.
    pub(super) async fn open(url: &PostgresUrl, resolver: &Resolver) -> Result<Link, Fault> {
        let opening = Self::unbounded(url, resolver);
        match url.connect_timeout {
            None => opening.await,
            Some(timeout) => tokio::time::timeout(timeout, opening)
                .await
                .unwrap_or_else(|_| Err(Fault::Lost(format!("did not log in within {} s", timeout.as_secs())))),
        }
    }

    async fn unbounded(url: &PostgresUrl, resolver: &Resolver) -> Result<Link, Fault> {
        let tls = Tls::of(url).map_err(Fault::Other)?;
        let wire = wire(url, resolver).await?;
        let (client, connection) = login(url).connect_raw(wire, tls).await?;
        Ok(Link { client, connection })
    }

    /// Asks, and carries what is asked and answered.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Fault> {
        let mut question = pin!(question(&self.client));
        let connection = &mut self.connection;
        poll_fn(|cx| loop {
            if let Poll::Ready(answer) = question.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(Fault::from));
            }
            match connection.poll_message(cx) {
                Poll::Pending => return Poll::Pending,
                // A notice.
                Poll::Ready(Some(Ok(_))) => {}
                // The answer may have come before the end.
                Poll::Ready(ended) => {
                    return Poll::Ready(match question.as_mut().poll(cx) {
                        Poll::Ready(Ok(answer)) => Ok(answer),
                        _ => Err(ended.and_then(Result::err).map_or_else(Fault::closed, Fault::from)),
                    });
                }
            }
        })
        .await
    }

    /// Whether the server has closed it, as far as is known here.
    pub(super) async fn is_over(&mut self) -> bool {
        poll_fn(|cx| loop {
            match self.connection.poll_message(cx) {
                Poll::Pending => return Poll::Ready(false),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(true),
            }
        })
        .await
    }
}

async fn wire(url: &PostgresUrl, resolver: &Resolver) -> Result<AnyWire, Fault> {
    match &url.host {
        PostgresHost::Tcp(host) => {
            let stream = tcp::connect(resolver, host, url.port).await.map_err(|error| match error {
                NetError::Resolve { reason, .. } => Fault::Lost(format!("its name can't be resolved: {reason}")),
                NetError::Connect { reason, .. } => Fault::Lost(format!("can't connect: {reason}")),
            })?;
            Ok(Box::new(stream))
        }
        #[cfg(unix)]
        PostgresHost::Socket(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", url.port));
            let stream = tokio::net::UnixStream::connect(&path).await;
            Ok(Box::new(stream.map_err(|error| Fault::Lost(error.to_string()))?))
        }
        #[cfg(not(unix))]
        PostgresHost::Socket(_) => {
            Err(Fault::Other(crate::error::Error::option("store", "store is a Unix socket, which this system has not")))
        }
    }
}

fn login(url: &PostgresUrl) -> Config {
    let mut login = Config::new();
    login.user(&url.user).dbname(&url.database).application_name(&url.application_name);
    if let Some(password) = &url.password {
        login.password(password);
    }
    login.channel_binding(match url.channel_binding {
        ChannelBinding::Disable => config::ChannelBinding::Disable,
        ChannelBinding::Prefer => config::ChannelBinding::Prefer,
        ChannelBinding::Require => config::ChannelBinding::Require,
    });
    login.ssl_mode(if url.tls == PostgresTls::Off { SslMode::Disable } else { SslMode::Require });
    if url.tls == PostgresTls::Direct {
        login.ssl_negotiation(SslNegotiation::Direct);
    }
    login
}
