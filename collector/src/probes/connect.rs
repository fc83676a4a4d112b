//! From a name to a connection: look up, judge every address, connect to one of them, shake hands.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, client::WebPkiServerVerifier};
use tokio::{
    net::{TcpStream, lookup_host},
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    file::{Check, IpFamily},
    run::{Failure, FailureClass, Run},
    ssrf::Policy,
    verify::{self, Witness},
};

/// Looks a host up and picks the address to connect to. One address is tried, no other: half-broken dual stack must
/// show (as blackbox_exporter holds it).
pub(super) async fn resolve(host: &str, port: u16, check: &Check, run: &mut Run) -> Result<SocketAddr, Failure> {
    let began = Instant::now();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let found: io::Result<Vec<SocketAddr>> = match literal {
        Some(address) => Ok(vec![SocketAddr::new(address, port)]),
        None => lookup_host((host, port)).await.map(Iterator::collect),
    };
    run.phases.resolve += began.elapsed().as_secs_f64();
    let found = found.map_err(|error| own_fault(&error).unwrap_or_else(|| dns(host, &error.to_string())))?;
    let wanted = |address: &&SocketAddr| match check.ip_family {
        IpFamily::Any => true,
        IpFamily::Ipv4 => address.is_ipv4(),
        IpFamily::Ipv6 => address.is_ipv6(),
    };
    judge(host, &found, &check.policy())?;
    let picked = found.iter().find(wanted).copied();
    let picked = picked.ok_or_else(|| dns(host, "it has no address of the wanted family"))?;
    run.address = Some(picked.ip());
    Ok(picked)
}

fn dns(host: &str, reason: &str) -> Failure {
    Failure::new(FailureClass::Dns, format!("cannot look up {host}: {reason}"))
}

/// Refuses a host as soon as one of its addresses is inside: a name with one good and one bad address is a trick.
fn judge(host: &str, found: &[SocketAddr], policy: &Policy) -> Result<(), Failure> {
    for address in found {
        if let Some(kind) = policy.refuses(address.ip()) {
            let ip = address.ip();
            let reason = format!(
                "{host} is {ip}, a {kind} address; set `allow_private: true` or `allow: [{ip}]` in the check if that is meant"
            );
            return Err(Failure::new(FailureClass::Blocked, reason));
        }
    }
    Ok(())
}

/// Connects to exactly this address.
pub(super) async fn connect(address: SocketAddr, run: &mut Run) -> Result<TcpStream, Failure> {
    let began = Instant::now();
    let connected = TcpStream::connect(address).await;
    run.phases.connect += began.elapsed().as_secs_f64();
    let stream = connected.map_err(|error| connection(address, &error))?;
    // The check's timing should be the target's, not Nagle's.
    stream.set_nodelay(true).map_err(|error| connection(address, &error))?;
    Ok(stream)
}

fn connection(address: SocketAddr, error: &io::Error) -> Failure {
    if let Some(own) = own_fault(error) {
        return own;
    }
    let (class, what) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (FailureClass::ConnectionRefused, "nobody listens at"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            (FailureClass::ConnectionReset, "the connection was reset by")
        }
        _ => (FailureClass::Unreachable, "cannot reach"),
    };
    Failure::new(class, format!("{what} {address}: {error}"))
}

/// Errors that say something of this machine and nothing of the target.
pub(super) fn own_fault(error: &io::Error) -> Option<Failure> {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOMEM: i32 = 12;
    let own = error.raw_os_error().is_some_and(|code| [EMFILE, ENFILE, ENOMEM].contains(&code));
    own.then(|| Failure::new(FailureClass::Checker, format!("the collector itself: {error}")))
}

/// Shakes hands; fills the run's TLS summary even when the chain is not trusted, which is then the failure.
pub(super) async fn handshake(
    host: &str,
    stream: TcpStream,
    check: &Check,
    run: &mut Run,
) -> Result<TlsStream<TcpStream>, Failure> {
    let began = Instant::now();
    let (config, witness) = client_config(check)?;
    let name = check.tls.server_name.as_deref().unwrap_or(host).trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned())
        .map_err(|error| Failure::new(FailureClass::Tls, format!("`{name}` cannot be asked for in TLS: {error}")))?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    run.phases.tls += began.elapsed().as_secs_f64();
    let stream = shaken.map_err(|error| Failure::new(FailureClass::Tls, format!("the handshake failed: {error}")))?;
    let (_, session) = stream.get_ref();
    let mut tls = verify::describe(session.peer_certificates().unwrap_or_default());
    tls.version =
        session.protocol_version().map(|version| format!("{version:?}").replace("v1_", " 1.")).unwrap_or_default();
    let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    tls.cipher = suite.map(|suite| suite.replace("TLS13_", "TLS_")).unwrap_or_default();
    tls.untrusted = witness.untrusted();
    let untrusted = tls.untrusted.clone().filter(|_| !check.tls.insecure_skip_verify);
    run.tls = Some(tls);
    match untrusted {
        Some(reason) => Err(Failure::new(FailureClass::Tls, reason)),
        None => Ok(stream),
    }
}

fn client_config(check: &Check) -> Result<(ClientConfig, Arc<Witness>), Failure> {
    let own = |reason: String| Failure::new(FailureClass::Checker, format!("TLS cannot be set up: {reason}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: Arc<RootCertStore> = Arc::new(
        yagura_daemon::tls::roots(check.tls_files().ca_file.as_deref()).map_err(|error| own(error.to_string()))?,
    );
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
    let witness = Arc::new(Witness::new(verifier.map_err(|error| own(error.to_string()))?));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| own(error.to_string()))?.dangerous();
    let verifier: Arc<dyn rustls::client::danger::ServerCertVerifier> = Arc::<Witness>::clone(&witness);
    let mut config = builder.with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, witness))
}
