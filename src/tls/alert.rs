//! How a peer says, or is told, that and why a connection ends.

use std::fmt;

/// An alert of TLS: what one side says before it ends a connection. `Display` is its name in
/// [RFC 8446, 6](https://www.rfc-editor.org/rfc/rfc8446#section-6).
///
/// ```
/// use heirloom::tls::Alert;
///
/// assert_eq!(Alert::BAD_RECORD_MAC.to_string(), "bad_record_mac");
/// assert_eq!(Alert::from_number(99).to_string(), "alert 99");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert(u8);

macro_rules! alerts {
    ($($(#[$attr:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl Alert {
            $($(#[$attr])* pub const $constant: Alert = Alert($number);)*

            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

alerts! {
    /// It sends no more, and all is well.
    CLOSE_NOTIFY = 0, "close_notify";
    /// A message that may not come here, or a record of a type that may not.
    UNEXPECTED_MESSAGE = 10, "unexpected_message";
    /// A record that is not authentic.
    BAD_RECORD_MAC = 20, "bad_record_mac";
    /// A record that is longer than a record may be.
    RECORD_OVERFLOW = 22, "record_overflow";
    /// Nothing that both sides could agree on.
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    /// A certificate that cannot be read.
    BAD_CERTIFICATE = 42, "bad_certificate";
    /// A certificate of a kind that is not known.
    UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
    /// A certificate that its issuer has taken back.
    CERTIFICATE_REVOKED = 44, "certificate_revoked";
    /// A certificate whose time is over.
    CERTIFICATE_EXPIRED = 45, "certificate_expired";
    /// A certificate that is not accepted for another reason.
    CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
    /// A field with a value that it may not have.
    ILLEGAL_PARAMETER = 47, "illegal_parameter";
    /// A certificate by somebody whom nobody vouches for.
    UNKNOWN_CA = 48, "unknown_ca";
    /// A certificate that is right, of somebody who may not come in.
    ACCESS_DENIED = 49, "access_denied";
    /// A message that cannot be read.
    DECODE_ERROR = 50, "decode_error";
    /// A signature or a proof that is wrong.
    DECRYPT_ERROR = 51, "decrypt_error";
    /// A version that is not spoken.
    PROTOCOL_VERSION = 70, "protocol_version";
    /// Nothing that would be safe enough.
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    /// Something that is no fault of the peer.
    INTERNAL_ERROR = 80, "internal_error";
    /// A client that tries an older version without need.
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    /// The user has changed their mind.
    USER_CANCELED = 90, "user_canceled";
    /// Of TLS 1.2: keys are not agreed on anew.
    NO_RENEGOTIATION = 100, "no_renegotiation";
    /// An extension that had to come.
    MISSING_EXTENSION = 109, "missing_extension";
    /// An extension that nobody has asked for.
    UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
    /// A server name for which there is no certificate.
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
    /// A statement of the issuer that cannot be used.
    BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
    /// A name of a shared key that is not known.
    UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
    /// A client that has to show a certificate, and has none.
    CERTIFICATE_REQUIRED = 116, "certificate_required";
    /// No protocol that both speak (ALPN).
    NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
}

impl Alert {
    /// The alert of this number, known or not.
    pub const fn from_number(number: u8) -> Alert {
        Alert(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}
