//! Servers on other frameworks of Rust: tokio on one thread, with TLS and without, and may_minihttp on one worker.

use std::{cell::RefCell, io, net::TcpListener, rc::Rc, sync::Arc};

use may_minihttp::{HttpServer, HttpService, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::{LocalSet, spawn_local},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::protocol::Protocol;

/// What a connection reads at a time. It has this much while it lives.
const BUFFER: usize = 8 * 1024;

pub fn tokio(
    listener: TcpListener,
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let protocol = Rc::new(RefCell::new(protocol));
    let tls = tls.map(TlsAcceptor::from);
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(receive(stream, tls.clone(), Rc::clone(&protocol)));
        }
    })
}

async fn receive(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    protocol: Rc<RefCell<Protocol>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => converse(tls.accept(stream).await?, protocol).await,
        None => converse(stream, protocol).await,
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    protocol: Rc<RefCell<Protocol>>,
) -> io::Result<()> {
    let (mut input, mut out) = (Vec::with_capacity(BUFFER), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        let Some(taken) = protocol.borrow_mut().answer(&input, &mut out) else { break };
        if taken == input.len() {
            input.clear();
        } else {
            input.drain(..taken);
        }
        stream.write_all(&out).await?;
        stream.flush().await?; // of TLS, nothing has to have left before
        out.clear();
    }
    Ok(())
}

#[derive(Clone)]
struct Hello;

impl HttpService for Hello {
    fn call(
        &mut self,
        _request: Request<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> io::Result<()> {
        response.body("hello, world\n");
        Ok(())
    }
}

pub fn may(address: &str) -> io::Result<()> {
    may::config().set_workers(1);
    let server = HttpServer(Hello).start(address)?;
    server.join().map_err(|_| io::Error::other("the server has panicked"))
}
