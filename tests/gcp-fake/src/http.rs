//! HTTP/1.1, as far as Google's clients speak it, written on sockets so that it can go wrong as networks do.

mod reply;
mod request;

pub(crate) use reply::{Delivery, Reply};
pub(crate) use request::Request;

use rustix::net::sockopt::set_socket_linger;
use std::{
    io::{self, BufReader, Read, Write as _},
    net::TcpStream,
    time::Duration,
};

/// Answers the requests of one connection until it ends.
pub(crate) fn serve(stream: &TcpStream, answer: impl Fn(&Request) -> Delivery) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = Request::read(&mut reader)? {
        match answer(&request) {
            Delivery::Whole(reply) => {
                writer.write_all(&reply.octets())?;
                if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                    return Ok(());
                }
            }
            Delivery::Truncated(reply) => {
                let octets = reply.octets();
                // The head is whole, half of the body is missing.
                return writer.write_all(&octets[..octets.len() - reply.body.len().div_ceil(2)]);
            }
            Delivery::Reset => {
                set_socket_linger(stream, Some(Duration::ZERO))?;
                return Ok(());
            }
            Delivery::Never => {
                // Until the caller hangs up.
                io::copy(&mut reader.by_ref(), &mut io::sink())?;
                return Ok(());
            }
        }
    }
    Ok(())
}
