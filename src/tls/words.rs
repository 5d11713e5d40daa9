//! What rustls has against a peer, in the words of the protocol.

use std::borrow::Cow;

use rustls::{Error, PeerIncompatible, PeerMisbehaved};

use super::{alert::Alert, error::TlsError};

/// The alert that rustls sends for this, where it was encrypted.
pub(super) fn alert_for(e: &Error) -> Option<Alert> {
    let number = match e {
        Error::InvalidCertificate(why) => rustls::AlertDescription::from(why.clone()).into(),
        Error::InvalidMessage(why) => rustls::AlertDescription::from(*why).into(),
        Error::NoCertificatesPresented => return Some(Alert::CERTIFICATE_REQUIRED),
        Error::NoApplicationProtocol => return Some(Alert::NO_APPLICATION_PROTOCOL),
        Error::DecryptError => return Some(Alert::BAD_RECORD_MAC),
        Error::PeerSentOversizedRecord => return Some(Alert::RECORD_OVERFLOW),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            return Some(Alert::UNEXPECTED_MESSAGE);
        }
        Error::PeerIncompatible(_) => return Some(Alert::HANDSHAKE_FAILURE),
        Error::PeerMisbehaved(_) => return Some(Alert::ILLEGAL_PARAMETER),
        _ => return None,
    };
    Some(Alert::from_number(number))
}

/// rustls names some causes by the names of its types.
pub(super) fn words(e: &Error) -> Cow<'static, str> {
    match e {
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "no cipher suite in common".into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "no version in common".into(),
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => {
            "no group for the key exchange in common".into()
        }
        Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired) => {
            "the client names no signature algorithm, as before TLS 1.2".into()
        }
        Error::NoApplicationProtocol => "no application protocol in common".into(),
        Error::NoCertificatesPresented => "the client has no certificate".into(),
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            "the server has chosen a protocol that was not offered".into()
        }
        other => other.to_string().into(),
    }
}

/// Something is wrong at this end.
pub(super) fn failed(e: &Error) -> TlsError {
    TlsError::Failed(words(e))
}
