//! What comes from outside and is the service's: bytes of a connection (`offer`), datagrams
//! (`datagram`), mail from other threads (`mail`).

mod datagram;
mod mail;
mod offer;
