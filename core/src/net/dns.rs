//! Names to addresses, without tokio's blocking pool.
//!
//! The operating system's `getaddrinfo` blocks: on a pool thread it would hold up the join in `destroy()` for as long as a
//! name server is silent. So the queries are made here, by tasks of the caller's runtime, which die with it. The order is
//! that of the system: IP literals, `localhost` (RFC 6761), the hosts file, then the name servers of resolv.conf.
//!
//! What fails how: an unreadable resolv.conf is an error that names the file, and only for names that need a name server;
//! asking some public resolver instead would tell a stranger which services a wallet uses. Waiting is bounded by the caller.

use super::NetError;
use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the second family may take once the first has answered: some name servers drop AAAA queries, and a connection
/// must not wait for them (the "resolution delay" of RFC 8305).
const SECOND_FAMILY: Duration = Duration::from_millis(50);

/// One question to one name server. The system's usual 5 s are longer than any of our callers wait: one lost UDP packet
/// would be a failed boot.
const QUERY: Duration = Duration::from_secs(1);

/// Where a name server's configuration comes from.
type ReadConfig = dyn Fn() -> Result<(ResolverConfig, ResolverOpts), String> + Send + Sync;

/// Resolves names. Cheap to make and to clone; clones share one cache. For one runtime: what it asked on a runtime that is
/// gone is forgotten with it.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    read_config: Box<ReadConfig>,
    read_hosts: fn() -> Hosts,
    hosts: OnceLock<Hosts>,
    servers: OnceLock<TokioResolver>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver {
    /// The system's configuration, read when a name first needs it.
    pub fn new() -> Self {
        Self::with(Box::new(read_system_config), || {
            Hosts::from_system().unwrap_or_default()
        })
    }

    /// Another configuration and hosts file, for tests.
    pub(crate) fn with(read_config: Box<ReadConfig>, read_hosts: fn() -> Hosts) -> Self {
        let inner = Inner {
            read_config,
            read_hosts,
            hosts: OnceLock::new(),
            servers: OnceLock::new(),
        };
        Resolver { inner: Arc::new(inner) }
    }

    /// The addresses of a host, IPv4 first; at least one. IPv6 literals may stand in brackets.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
        let found = self.addresses(host).await.map_err(|reason| NetError::Resolve {
            host: host.to_owned(),
            reason,
        })?;
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let name = Name::from_utf8(host).map_err(|e| format!("not a host name: {e}"))?;
        if name.num_labels() == 0 {
            return Err("the host name is empty".to_owned());
        }
        if name.is_localhost() {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let listed = self.listed(&name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        self.asked(name).await
    }

    fn listed(&self, name: &Name) -> Vec<IpAddr> {
        let hosts = self.inner.hosts.get_or_init(self.inner.read_hosts);
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|family| hosts.lookup_static_host(&Query::query(name.clone(), family)))
            .flat_map(|found| found.iter().filter_map(|data| data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }

    async fn asked(&self, name: Name) -> Result<Vec<IpAddr>, String> {
        let servers = self.servers()?;
        let family = |kind: RecordType| {
            let name = name.clone();
            async move {
                let found = servers.lookup(name, kind).await.map_err(|e| e.to_string())?;
                let ips: Vec<IpAddr> = found.iter().filter_map(|data| data.ip_addr()).collect();
                if ips.is_empty() {
                    return Err("the name has no address".to_owned());
                }
                Ok(ips)
            }
        };
        let (v4, v6) = (family(RecordType::A), family(RecordType::AAAA));
        tokio::pin!(v4, v6);
        let (v4, v6) = tokio::select! {
            first = &mut v4 => { let second = second_family(&first, v6).await; (first, second) }
            first = &mut v6 => { let second = second_family(&first, v4).await; (second, first) }
        };
        match (v4, v6) {
            (Ok(mut all), Ok(more)) => {
                all.extend(more);
                Ok(all)
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(reason), Err(_)) => Err(reason),
        }
    }

    fn servers(&self) -> Result<&TokioResolver, String> {
        if let Some(servers) = self.inner.servers.get() {
            return Ok(servers);
        }
        let (config, mut options) = (self.inner.read_config)()?;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = options.timeout.min(QUERY);
        options.attempts = options.attempts.max(3);
        let mut builder = TokioResolver::builder_with_config(config, TokioConnectionProvider::default());
        *builder.options_mut() = options;
        Ok(self.inner.servers.get_or_init(|| builder.build()))
    }
}

/// The slower family: as long as it takes if the faster one has nothing, else only for the resolution delay.
async fn second_family(
    first: &Result<Vec<IpAddr>, String>,
    second: impl std::future::Future<Output = Result<Vec<IpAddr>, String>>,
) -> Result<Vec<IpAddr>, String> {
    if first.is_err() {
        return second.await;
    }
    match tokio::time::timeout(SECOND_FAMILY, second).await {
        Ok(found) => found,
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn read_system_config() -> Result<(ResolverConfig, ResolverOpts), String> {
    let source = if cfg!(windows) {
        "the system's DNS settings"
    } else {
        "/etc/resolv.conf"
    };
    hickory_resolver::system_conf::read_system_conf()
        .map_err(|e| format!("can't take the name servers from {source}: {e}; use an IP address or configure DNS"))
}
