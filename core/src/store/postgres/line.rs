//! The connection that is there, or a new one.
//!
//! What must hold: a question takes the connection out and puts it back when it is answered, so what cuts it short closes the connection:
//! an answer never meets the wrong question. And a question is asked once more if the connection was an old one that turns out to be
//! over (the server restarted, something between dropped what was idle), so every question must be one that can be repeated.

use super::fault::Fault;
use super::link::Link;
use crate::config::PostgresUrl;
use crate::error::Error;
use crate::net::dns::Resolver;
use tokio_postgres::Client;

/// See the module's head.
pub(super) struct Line {
    url: PostgresUrl,
    resolver: Resolver,
    link: Option<Link>,
}

impl Line {
    /// Opens nothing.
    pub(super) fn to(url: &PostgresUrl) -> Self {
        Line { url: url.clone(), resolver: Resolver::new(), link: None }
    }

    /// Where it leads, for errors.
    pub(super) fn url(&self) -> &PostgresUrl {
        &self.url
    }

    /// Asks what can be repeated.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFn(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Fault> {
        if let Some(mut link) = self.link.take() {
            if !link.is_over().await {
                match link.ask(&question).await {
                    Err(fault) if fault.ends_the_connection() => {
                        tracing::debug!(?fault, "the connection to PostgreSQL was lost; asking once more on a new one");
                    }
                    answer => {
                        self.link = Some(link);
                        return answer;
                    }
                }
            }
        }
        let mut link = Link::open(&self.url, &self.resolver).await?;
        let answer = link.ask(&question).await;
        if !matches!(&answer, Err(fault) if fault.ends_the_connection()) {
            self.link = Some(link);
        }
        answer
    }

    /// Closes the connection: what was asked on it may never be answered.
    pub(super) fn hang_up(&mut self) {
        self.link = None;
    }

    /// What the user is told.
    pub(super) fn error(&self, fault: Fault) -> Error {
        fault.into_error(&self.url)
    }
}
