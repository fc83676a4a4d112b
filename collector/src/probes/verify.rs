//! Certificates are judged, but a bad one does not end the handshake: its end is worth reporting all the same.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};
use yagura_model::Timestamp;

use super::run::Tls;

/// Remembers what the real verifier says of the chain, and lets the handshake go on.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    untrusted: Mutex<Option<String>>,
}

impl Witness {
    pub(super) fn new(inner: Arc<WebPkiServerVerifier>) -> Self {
        Self { inner, untrusted: Mutex::new(None) }
    }

    /// Why the chain is not trusted, if it is not.
    pub(super) fn untrusted(&self) -> Option<String> {
        self.untrusted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let untrusted = judged.err().map(|error| reason(&error));
        *self.untrusted.lock().unwrap_or_else(PoisonError::into_inner) = untrusted;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The common reasons in words that say what to do.
fn reason(error: &Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "the certificate's issuer is not trusted (tls.ca_file names one that is)".to_owned()
        }
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "the certificate is not for this name".to_owned()
        }
        other => other.to_string(),
    }
}

/// What a chain of certificates says, leaf first.
pub(super) fn describe(chain: &[CertificateDer<'_>]) -> Tls {
    let mut tls = Tls::default();
    for (index, certificate) in chain.iter().enumerate() {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { continue };
        let end = Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000));
        tls.earliest_expiry = Some(tls.earliest_expiry.map_or(end, |earliest| earliest.min(end)));
        if index == 0 {
            tls.subject = certificate.subject().to_string();
            tls.issuer = certificate.issuer().to_string();
            tls.names = names(&certificate);
        }
    }
    tls
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}
