//! Where messages go in, as a listener sees it.

use crate::auth::ClientInfo;
use crate::auth::credentials::Tenant;
use crate::inbound::{self, Inbound};
use crate::intake::{self, Intake};
use crate::mail::{Address, Envelope, MessageId, Reply};
use std::future::Future;

/// The way in for mail. Intake in the daemon; a recorder in tests.
pub trait Door: Send + Sync + 'static {
    type Reception: Reception;

    /// May a message come in now? Asked at MAIL; the reply of an `Err` goes to the client (452 where the spool is
    /// full). Must be cheap.
    fn accepting(&self) -> Result<(), Reply>;

    /// Does mail for these recipients come in here? Asked at RCPT, of those whose commands came in one go together; one
    /// answer each, in order. `tenant` is who authenticated.
    fn recipients(
        &self,
        recipients: &[Address],
        tenant: Option<&Tenant>,
    ) -> impl Future<Output = Vec<Result<(), Reply>>> + Send;

    /// Opens a message; 354 is said after it. Dropping the reception leaves nothing behind.
    fn begin(&self, client: ClientInfo, envelope: Envelope) -> Result<Self::Reception, Reply>;
}

/// A message on its way in.
pub trait Reception: Send + 'static {
    /// Takes the next octets of the message. After an `Err` no more come; its reply is what the client hears at the end.
    fn push(&mut self, octets: &[u8]) -> impl Future<Output = Result<(), Reply>> + Send;

    /// The message is whole: makes it ours. `Ok` means durable, and the client is told 250.
    fn finish(self) -> impl Future<Output = Result<MessageId, Reply>> + Send;
}

impl Door for Intake {
    type Reception = intake::Reception;

    fn accepting(&self) -> Result<(), Reply> {
        Intake::accepting(self)
    }

    async fn recipients(
        &self,
        recipients: &[Address],
        tenant: Option<&Tenant>,
    ) -> Vec<Result<(), Reply>> {
        Intake::recipients(self, recipients, tenant).await
    }

    fn begin(&self, client: ClientInfo, envelope: Envelope) -> Result<Self::Reception, Reply> {
        Intake::begin(self, client, envelope)
    }
}

impl Reception for intake::Reception {
    async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        intake::Reception::push(self, octets).await
    }

    async fn finish(self) -> Result<MessageId, Reply> {
        intake::Reception::finish(self).await
    }
}

impl Door for Inbound {
    type Reception = inbound::Reception;

    fn accepting(&self) -> Result<(), Reply> {
        Inbound::accepting(self)
    }

    async fn recipients(
        &self,
        recipients: &[Address],
        _: Option<&Tenant>,
    ) -> Vec<Result<(), Reply>> {
        let answers = recipients.iter();
        answers.map(|recipient| self.recipient(recipient)).collect()
    }

    fn begin(&self, client: ClientInfo, envelope: Envelope) -> Result<Self::Reception, Reply> {
        Inbound::begin(self, &client, envelope)
    }
}

impl Reception for inbound::Reception {
    async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        inbound::Reception::push(self, octets);
        Ok(())
    }

    async fn finish(self) -> Result<MessageId, Reply> {
        inbound::Reception::finish(self).await
    }
}
