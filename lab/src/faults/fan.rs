//! One link for each of many servers, all under the same faults: for a client that calls whoever has registered.

use super::{Faults, Link, LinkStats};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use tokio::sync::Mutex;

/// Links under the same faults. Dropping it ends them all.
#[derive(Default)]
pub struct Fan {
    faults: Faults,
    links: Mutex<BTreeMap<SocketAddr, Link>>,
}

impl Fan {
    /// Where to connect to reach `server` through its link, which is made when it is first asked for.
    pub async fn way_to(&self, server: SocketAddr) -> io::Result<SocketAddr> {
        let mut links = self.links.lock().await;
        if let Some(link) = links.get(&server) {
            return Ok(link.address());
        }
        let link = Link::under(self.faults.clone(), server).await?;
        let address = link.address();
        links.insert(server, link);
        Ok(address)
    }

    /// The faults of all its links.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What its links carried, one server after the other.
    pub async fn stats(&self) -> LinkStats {
        let links = self.links.lock().await;
        LinkStats { connections: links.values().flat_map(|link| link.stats().connections).collect() }
    }

    /// All its links count anew.
    pub async fn reset_stats(&self) {
        self.links.lock().await.values().for_each(Link::reset_stats);
    }
}
