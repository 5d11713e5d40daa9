//! What comes from outside and is the service's: bytes of a connection (`offer`), what a proxy puts before them
//! (`header`), a handshake that is to be made first (`handshake`), datagrams (`datagram`), mail from other threads (`mail`),
//! words from other generations (`words`), signals (`signals`), and descriptors that it has watched (`ready`).

mod datagram;
mod handshake;
mod header;
mod mail;
mod offer;
mod ready;
mod signals;
mod words;
