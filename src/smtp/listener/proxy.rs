//! The PROXY protocol, versions 1 and 2: a balancer says for whom it connects.
//!
//! The header is read octet by octet to its exact end, for what follows may be a TLS handshake.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first twelve octets of a version 2 header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest version 1 header, CRLF included.
const MAX_V1: usize = 107;
/// Longest version 2 address block that is read; balancers add some hundred octets of TLVs.
const MAX_V2: usize = 2048;

/// Whom the balancer speaks for; `None` where it speaks for itself (a health check).
pub type Client = Option<IpAddr>;

/// Reads the header at the start of a connection.
///
/// # Errors
/// `InvalidData` where it is no PROXY header; otherwise what reading gave.
pub async fn read_header<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Client> {
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).await?;
    if &head == SIGNATURE {
        read_v2(stream).await
    } else {
        read_v1(stream, &head).await
    }
}

async fn read_v1<R: AsyncRead + Unpin>(stream: &mut R, head: &[u8]) -> io::Result<Client> {
    let mut line = head.to_vec();
    if !line.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_V1 {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    parse_v1(&line).ok_or_else(malformed)
}

async fn read_v2<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Client> {
    let mut head = [0u8; 4];
    stream.read_exact(&mut head).await?;
    let [command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2 {
        return Err(malformed());
    }
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    parse_v2(command, family, &block).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY header")
}

/// `PROXY TCP4 source destination port port CRLF`.
fn parse_v1(line: &[u8]) -> Option<Client> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split(' ');
    (words.next()? == "PROXY").then_some(())?;
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let mut address = || match family {
        "TCP4" => words.next()?.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => words.next()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let (source, _destination) = (address()?, address()?);
    let _source_port: u16 = words.next()?.parse().ok()?;
    let _destination_port: u16 = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Some(source))
}

/// Version and command, family and protocol, then the addresses.
fn parse_v2(command: u8, family: u8, block: &[u8]) -> Option<Client> {
    match command {
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    match family {
        0x11 => {
            let (source, _rest) = block.get(..12)?.split_first_chunk::<4>()?;
            Some(Some(Ipv4Addr::from(*source).into()))
        }
        0x21 => {
            let (source, _rest) = block.get(..36)?.split_first_chunk::<16>()?;
            Some(Some(Ipv6Addr::from(*source).into()))
        }
        // UNSPEC: as where there is no header.
        0x00 => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(octets: &[u8]) -> Result<(Client, usize), ()> {
        let mut rest = octets;
        let client = read_header(&mut rest).await.map_err(drop)?;
        Ok((client, rest.len()))
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = (block.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block, b"EHLO"].concat()
    }

    #[tokio::test]
    async fn headers_are_read_to_their_exact_end() {
        let four = Some("192.0.2.1".parse().unwrap());
        let six = Some("2001:db8::1".parse().unwrap());
        let v1 = |text: &str| format!("{text}\r\nEHLO").into_bytes();
        let mut six_block = vec![0; 36];
        six_block[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        six_block[15] = 1;
        let with_tlv = [192, 0, 2, 1, 9, 9, 9, 9, 0, 1, 0, 2, 4, 0, 1, 0];
        for (octets, client) in [
            (v1("PROXY TCP4 192.0.2.1 198.51.100.1 5000 25"), four),
            (v1("PROXY TCP6 2001:db8::1 ::1 5000 25"), six),
            (v1("PROXY UNKNOWN"), None),
            (v1("PROXY UNKNOWN ffff::1 ffff::2 1 2"), None),
            (v2(0x21, 0x11, &with_tlv), four),
            (v2(0x21, 0x21, &six_block), six),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
        ] {
            assert_eq!(
                read(&octets).await,
                Ok((client, 4)),
                "{}",
                octets.escape_ascii()
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        for octets in [
            &b"EHLO client.test\r\n"[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.1 5000\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 5000 25 x\r\n",
            b"PROXY TCP4 192.0.2.999 198.51.100.1 5000 25\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 5000 25\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            b"PROXY UNK",
            long.as_bytes(),
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x31, &[0; 216]),
            &v2(0x21, 0x11, &[0; 4096]),
        ] {
            assert_eq!(read(octets).await, Err(()), "{}", octets.escape_ascii());
        }
    }
}
