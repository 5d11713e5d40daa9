//! Servers on other frameworks of Rust: tokio on one thread, and may_minihttp on one worker.

use std::{cell::RefCell, io, net::TcpListener, rc::Rc};

use may_minihttp::{HttpServer, HttpService, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::{LocalSet, spawn_local},
};

use crate::protocol::Protocol;

/// What a connection reads at a time. It has this much while it lives.
const BUFFER: usize = 8 * 1024;

pub fn tokio(listener: TcpListener, protocol: Protocol) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let protocol = Rc::new(RefCell::new(protocol));
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(converse(stream, Rc::clone(&protocol)));
        }
    })
}

async fn converse(mut stream: TcpStream, protocol: Rc<RefCell<Protocol>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut out) = (Vec::with_capacity(BUFFER), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        let Some(taken) = protocol.borrow_mut().answer(&input, &mut out) else { break };
        if taken == input.len() {
            input.clear();
        } else {
            input.drain(..taken);
        }
        stream.write_all(&out).await?;
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
