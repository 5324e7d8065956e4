//! The messages: a transactional one of 1 KiB and a newsletter of 10 KiB, as platforms send them.

/// A message of `KIB` KiB: header section, closing empty line and body.
pub fn message<const KIB: usize>() -> Vec<u8> {
    let mut octets = head::<KIB>();
    octets.extend(body::<KIB>());
    octets
}

/// The header section with its closing empty line.
pub fn head<const KIB: usize>() -> Vec<u8> {
    let fields = if KIB < 2 { RECEIPT } else { NEWSLETTER };
    fields.replace('\n', "\r\n").into_bytes()
}

/// What follows it.
pub fn body<const KIB: usize>() -> Vec<u8> {
    let len = KIB * 1024 - head::<KIB>().len();
    if KIB < 2 { plain(len) } else { multipart(len) }
}

/// Text in lines of 66 columns; every tenth begins with a dot, more than mail ever has.
fn plain(len: usize) -> Vec<u8> {
    let lines = (1..).map(|n| match n % 10 {
        0 => format!(".. line {n:<57}\r\n"),
        _ => format!("Item {n:>4}: one pair of walking shoes, in the colour chosen, 89.00\r\n"),
    });
    filled(lines, len)
}

/// A `multipart/alternative` of plain text and quoted-printable HTML.
fn multipart(len: usize) -> Vec<u8> {
    let text = "--=_alt_7f3a\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    let html = "\r\n--=_alt_7f3a\r\nContent-Type: text/html; charset=utf-8\r\n\
                Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    let end = "\r\n--=_alt_7f3a--\r\n";
    let rest = len - text.len() - html.len() - end.len();
    let paragraphs = (1..).map(|n| {
        format!("Offer {n}: Caf=C3=A9 table, oak, for your terrace =E2=80=94 =E2=82=AC 129 until=\r\n Sunday.\r\n")
    });
    let cells = (1..).map(|n| {
        format!(
            "<td class=3D\"c{n}\" style=3D\"padding:0 12px;font:14px/20px Arial,sans-serif\">=\r\n\
             <a href=3D\"https://news.example.com/c/{n:06}?u=3D42&amp;k=3Dspring\">Caf=C3=A9</a>=\r\n\
             \t</td>\r\n"
        )
    });
    let (short, long) = (rest / 4, rest - rest / 4);
    let mut octets = text.as_bytes().to_vec();
    octets.extend(filled(paragraphs, short));
    octets.extend_from_slice(html.as_bytes());
    octets.extend(filled(cells, long));
    octets.extend_from_slice(end.as_bytes());
    octets
}

/// Whole pieces up to `len`, then a line that makes it exact.
fn filled(pieces: impl Iterator<Item = String>, len: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(len);
    for piece in pieces {
        if octets.len() + piece.len() + 2 > len {
            break;
        }
        octets.extend(piece.into_bytes());
    }
    octets.resize(len - 2, b'=');
    octets.extend_from_slice(b"\r\n");
    octets
}

const RECEIPT: &str = "\
From: Example Shop <orders@shop.example.com>
To: ann@example.net
Subject: Your order 100200300
Date: Mon, 23 Nov 2026 09:30:00 +0000
Message-ID: <order-100200300@shop.example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
X-Mailwright-Stream: transactional

";

const NEWSLETTER: &str = "\
Received: from app-17.platform.example (app-17.platform.example [192.0.2.17])
\tby relay.platform.example with ESMTPSA id 4Vx2kP1TnQz9s
\tfor <ann@example.net>; Mon, 23 Nov 2026 09:30:00 +0000
From: =?utf-8?Q?Caf=C3=A9_Example?= <news@news.example.com>
Reply-To: Example Support <support@example.com>
To: \"Ann Other\" <ann@example.net>
Subject: =?utf-8?Q?Spring_offers_for_your_terrace_=E2=80=94_until_Sunday_only?=
 =?utf-8?Q?,_free_delivery_included?=
Date: Mon, 23 Nov 2026 09:30:00 +0000
Message-ID: <20261123.093000.42.spring@news.example.com>
MIME-Version: 1.0
Content-Type: multipart/alternative;
\tboundary=\"=_alt_7f3a\"
List-Id: Example offers <offers.news.example.com>
List-Unsubscribe: <https://news.example.com/u/5b0d9c1e7a?c=spring>,
\t<mailto:unsubscribe@news.example.com?subject=5b0d9c1e7a>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Feedback-ID: spring:42:marketing:example
Precedence: bulk
X-Mailer: Platform 7.2
X-Mailwright-Campaign: spring
X-Mailwright-Stream: marketing
X-Mailwright-Tag: a/b-test-2

";
