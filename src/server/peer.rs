//! Who is at the other end of a connection, as far as the connection tells. In every request's extensions.

use crate::access::PeerCertificate;
use std::{net::SocketAddr, sync::Arc};

/// The other end of the connection that a request came over.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: SocketAddr,
    /// How the connection is protected.
    pub(super) channel: Channel,
}

/// How a connection is protected.
#[derive(Clone, Debug)]
pub(super) enum Channel {
    /// Not at all.
    Plain,
    /// TLS, with the certificate that the peer has proven to hold.
    Tls {
        /// `None` where it sent none.
        certificate: Option<Arc<PeerCertificate>>,
    },
}

impl Peer {
    /// Whether what is said here can be read on the way: plain HTTP from another machine.
    pub(super) fn is_overheard(&self) -> bool {
        matches!(self.channel, Channel::Plain) && !self.address.ip().to_canonical().is_loopback()
    }

    /// The certificate that was proven on this connection.
    pub(super) fn certificate(&self) -> Option<&PeerCertificate> {
        match &self.channel {
            Channel::Plain => None,
            Channel::Tls { certificate } => certificate.as_deref(),
        }
    }
}
