//! TLS to a PostgreSQL server, with the certificate always verified and the login bound to it (`tls-server-end-point`, RFC 5929).
//!
//! Why not a crate: what exists pulls in a parser for the whole of X.509 to learn which hash a certificate was signed with, which is
//! three steps into its DER.

use crate::config::{PostgresHost, PostgresTls, PostgresUrl};
use crate::error::{Code, Error, Result};
use bitcoin::hashes::{sha256, sha384, sha512, Hash};
use rustls::crypto::ring::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// How to secure one connection; of a connection without TLS, nothing.
pub(super) struct Tls(Option<(TlsConnector, ServerName<'static>)>);

impl Tls {
    /// Reads the file of authorities, if one is named.
    pub(super) fn of(url: &PostgresUrl) -> Result<Tls> {
        let (PostgresHost::Tcp(host), PostgresTls::Asked | PostgresTls::Direct) = (&url.host, url.tls) else {
            return Ok(Tls(None));
        };
        let wrong = |what: String| Error::new(Code::StoreUnavailable, what);
        let name = ServerName::try_from(host.clone())
            .map_err(|_| wrong(format!("a certificate can't be checked for the PostgreSQL host {host}")))?;
        let mut provider = default_provider();
        // PostgreSQL up to 17 takes no other group by default: a share of X25519 first would cost a round trip.
        provider.kx_groups = vec![kx_group::SECP256R1, kx_group::X25519, kx_group::SECP384R1];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::new(Code::Internal, format!("TLS can't be set up: {e}")))?
            .with_root_certificates(authorities(url)?)
            .with_no_client_auth();
        if url.tls == PostgresTls::Direct {
            // A server that is asked directly insists on it.
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Tls(Some((TlsConnector::from(Arc::new(config)), name))))
    }
}

fn authorities(url: &PostgresUrl) -> Result<RootCertStore> {
    let Some(file) = url.root_cert.clone().or_else(file_of_the_environment) else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    authorities_in(&file).map_err(|what| {
        Error::option("store", format!("the authorities of the PostgreSQL server in {} {what}; name a PEM file with the server's authority (sslrootcert)", file.display()))
    })
}

/// libpq's variable, which platforms set for their databases: not ours, but the server's word on itself.
fn file_of_the_environment() -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "every client of PostgreSQL reads this variable, so users set it")]
    let file = std::env::var_os("PGSSLROOTCERT")?;
    Some(PathBuf::from(file)).filter(|file| !file.as_os_str().is_empty() && file.as_os_str() != "system")
}

fn authorities_in(file: &Path) -> std::result::Result<RootCertStore, String> {
    let pem = std::fs::read(file).map_err(|e| format!("can't be read: {e}"))?;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let mut roots = RootCertStore::empty();
    // A platform's bundle holds all that it ever had: what can't be used is not trusted, and the rest is.
    roots.add_parsable_certificates(certificates.map_err(|e| format!("are no PEM: {e}"))?);
    if roots.is_empty() {
        return Err("hold no certificate".to_owned());
    }
    Ok(roots)
}

/// A stream inside TLS.
pub(super) struct Secured<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Tls {
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let Some((connector, name)) = self.0 else { return Err(io::ErrorKind::Unsupported.into()) };
            connector.connect(name, stream).await.map(Secured)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        certificate
            .and_then(|certificate| end_point(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The certificate hashed with the hash of its signature, MD5 and SHA-1 replaced by SHA-256. None for signatures without one (Ed25519).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm ::= SEQUENCE { algorithm OID, … }, … }
    let (whole, _) = der(certificate)?;
    let (_, after_content) = der(whole)?;
    let (algorithm, _) = der(after_content)?;
    let (oid, _) = der(algorithm)?;
    const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    match (oid.strip_prefix(&RSA), oid.strip_prefix(&ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => {
            Some(sha256::Hash::hash(certificate).to_byte_array().to_vec())
        }
        (Some([12]), _) | (_, Some([3, 3])) => Some(sha384::Hash::hash(certificate).to_byte_array().to_vec()),
        (Some([13]), _) | (_, Some([3, 4])) => Some(sha512::Hash::hash(certificate).to_byte_array().to_vec()),
        _ => None,
    }
}

/// The content of the first DER value, and what follows it.
fn der(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (long.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
