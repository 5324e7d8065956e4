//! From an address to a conversation: connect, greeting, EHLO, STARTTLS.

use super::exchange::{Group, exchange, listen};
use super::failure::Failure;
use super::wire::Wire;
use super::{Connection, Target, Timeouts};
use crate::mail::Reply;
use crate::smtp::codec::EhloLines;
use crate::tls::client::{ClientTls, Fault, Policy};
use mail_send::SmtpClient;
use std::io;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

impl Connection {
    /// Opens a conversation: ready for a first transaction when this returns.
    ///
    /// # Errors
    /// [`Failure::Tls`] where STARTTLS is wanted and does not work: under [`Policy::Opportunistic`] the caller may open
    /// another connection with [`Policy::Off`]. The others as [`Failure`] says.
    pub async fn open(
        target: &Target<'_>,
        timeouts: &Timeouts,
        tls: &ClientTls,
    ) -> Result<Self, Failure> {
        let stream = dial(target, timeouts.connect.0).await?;
        let mut client = SmtpClient {
            stream: Wire::plain(stream),
            timeout: timeouts.helo.0,
        };
        greeting(&mut client, timeouts).await?;
        let mut offers = hello(&mut client, target, timeouts).await?;
        let mut certificate = Ok(());
        if wants_tls(target.tls, &offers)? {
            (client, certificate) = start_tls(client, target, timeouts, tls).await?;
            // What was offered in clear may have been changed on its way (RFC 3207 §4.2).
            offers = hello(&mut client, target, timeouts).await?;
        }
        // RFC 8689 §2: offered in clear it is nothing.
        offers.requiretls &= client.stream.tls_version().is_some();
        Ok(Self {
            client,
            offers,
            certificate,
            timeouts: timeouts.clone(),
            transactions: 0,
            unfinished: false,
            broken: false,
        })
    }
}

async fn dial(target: &Target<'_>, patience: Duration) -> Result<TcpStream, Failure> {
    let socket = socket(target).map_err(|error| Failure::local("connect", error))?;
    match tokio::time::timeout(patience, socket.connect(target.address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::lost("connect", error)),
        Err(_) => {
            let within = crate::units::Span(patience);
            let why = format!("no connection within {within}");
            Err(Failure::lost("connect", why))
        }
    }
}

fn socket(target: &Target<'_>) -> io::Result<TcpSocket> {
    let socket = match target.address.is_ipv4() {
        true => TcpSocket::new_v4()?,
        false => TcpSocket::new_v6()?,
    };
    if let Some(source) = target.source {
        let named = |error| io::Error::other(format!("cannot send from {source}: {error}"));
        socket.bind((source, 0).into()).map_err(named)?;
    }
    // Every write is a whole group: there is nothing to wait for.
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn greeting(client: &mut SmtpClient<Wire>, timeouts: &Timeouts) -> Result<(), Failure> {
    let reply = listen(client, timeouts.greeting.0, "greeting").await?;
    accepted(reply)?;
    if client.stream.is_unquiet() {
        let why = "the server answered before it was asked";
        return Err(Failure::lost("EHLO", why));
    }
    Ok(())
}

/// EHLO, and HELO where the server knows only that (RFC 5321 §3.2).
async fn hello(
    client: &mut SmtpClient<Wire>,
    target: &Target<'_>,
    timeouts: &Timeouts,
) -> Result<EhloLines, Failure> {
    let reply = say(client, "EHLO", target.ehlo, timeouts).await?;
    if reply.is_permanent() {
        let reply = say(client, "HELO", target.ehlo, timeouts).await?;
        accepted(reply)?;
        return Ok(EhloLines::default());
    }
    let reply = accepted(reply)?;
    Ok(EhloLines::parse(&reply))
}

fn wants_tls(policy: Policy, offers: &EhloLines) -> Result<bool, Failure> {
    match (policy, offers.starttls) {
        (Policy::Off, _) | (Policy::Opportunistic, false) => Ok(false),
        (_, true) => Ok(true),
        (Policy::Required | Policy::Verify, false) => Err(Failure::tls(
            "TLS is required and the server does not offer it",
            Fault::StarttlsNotSupported,
        )),
    }
}

async fn start_tls(
    mut client: SmtpClient<Wire>,
    target: &Target<'_>,
    timeouts: &Timeouts,
    tls: &ClientTls,
) -> Result<(SmtpClient<Wire>, Result<(), Fault>), Failure> {
    let reply = say(&mut client, "STARTTLS", "", timeouts).await;
    let reply = reply.map_err(Failure::at_starttls)?;
    if reply.code != 220 {
        // "Not now" (454) is no word on what the server can do.
        let fault = match reply.is_permanent() {
            true => Fault::StarttlsNotSupported,
            false => Fault::ValidationFailure,
        };
        return Err(Failure::Tls(reply, fault));
    }
    let Some(stream) = client.stream.into_tcp() else {
        let why = "octets in clear came behind the answer to STARTTLS: an injection";
        return Err(Failure::tls(why, Fault::ValidationFailure));
    };
    let handshake = tls.connect(target.tls, target.host, stream);
    let stream = match tokio::time::timeout(timeouts.tls.0, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let fault = Fault::of(&error);
            return Err(Failure::tls(error, fault));
        }
        Err(_) => {
            let within = timeouts.tls;
            let why = format!("no handshake within {within}");
            return Err(Failure::tls(why, Fault::ValidationFailure));
        }
    };
    let certificate = match target.examine && target.tls != Policy::Verify {
        true => tls.judge(target.host, &stream),
        false => Ok(()),
    };
    let client = SmtpClient {
        stream: Wire::tls(stream),
        timeout: timeouts.helo.0,
    };
    Ok((client, certificate))
}

/// One command on its own, and the reply to it.
async fn say(
    client: &mut SmtpClient<Wire>,
    verb: &'static str,
    argument: &str,
    timeouts: &Timeouts,
) -> Result<Reply, Failure> {
    let mut group = Group::default();
    group.push(verb, |line| {
        line.extend_from_slice(verb.as_bytes());
        if !argument.is_empty() {
            line.push(b' ');
            // A name from the configuration cannot end the line.
            line.extend(argument.bytes().filter(u8::is_ascii_graphic));
        }
    });
    let mut answers = exchange(client, &group, timeouts.helo.0).await;
    match answers.failure {
        Some(failure) => Err(failure),
        None => {
            let reply = answers.replies.pop();
            reply.ok_or_else(|| Failure::lost(verb, "the reply was lost"))
        }
    }
}

/// 2xx goes on; 4xx and 5xx are the server's word; anything else is not SMTP.
fn accepted(reply: Reply) -> Result<Reply, Failure> {
    match reply.code {
        200..=299 => Ok(reply),
        400..=599 => Err(Failure::Said(reply)),
        _ => Err(Failure::lost(&reply.command, format!("unexpected {reply}"))),
    }
}
