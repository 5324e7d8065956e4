//! What DNS says of an address of ours: its names, the way back from them (FCrDNS), and its EHLO name.

use super::ask::{Ask, Asked, Unknown};
use super::facts::SourceFact;
use crate::lint::facts::Reverse;
use std::net::IpAddr;

/// The answers about one source.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its PTR names.
    pub names: Asked<String>,
    /// The first of them that leads back to it, the EHLO name before others; `Err`: the name of which that is not known.
    pub back: Result<Option<String>, (String, Unknown)>,
    /// What its EHLO name leads to.
    pub forward: Asked<IpAddr>,
}

impl Looked {
    pub async fn at(ask: &Ask, source: &SourceFact) -> Self {
        let (names, forward) =
            tokio::join!(ask.pointers(source.address), ask.addresses(&source.ehlo));
        let back = match &names {
            Ok(names) => back(ask, source, &names.data, &forward).await,
            Err(_) => Ok(None),
        };
        Self {
            names,
            back,
            forward,
        }
    }

    /// As the lint has it.
    ///
    /// # Errors
    /// Something of it is not known.
    pub fn reverse(&self, source: &SourceFact) -> Result<Reverse, Unknown> {
        let names = self.names.as_ref().map_err(Unknown::clone)?;
        let back = self.back.as_ref().map_err(|(_, unknown)| unknown.clone())?;
        let forward = self.forward.as_ref().map_err(Unknown::clone)?;
        Ok(Reverse {
            name: back.as_ref().or(names.data.first()).cloned(),
            is_confirmed: back.is_some(),
            ehlo: source.ehlo.clone(),
            ehlo_resolves: forward.data.contains(&source.address),
        })
    }
}

async fn back(
    ask: &Ask,
    source: &SourceFact,
    names: &[String],
    forward: &Asked<IpAddr>,
) -> Result<Option<String>, (String, Unknown)> {
    let SourceFact { address, ehlo, .. } = source;
    if names.contains(ehlo) {
        match forward {
            Err(unknown) => return Err((ehlo.clone(), unknown.clone())),
            Ok(forward) if forward.data.contains(address) => return Ok(Some(ehlo.clone())),
            Ok(_) => {}
        }
    }
    for name in names.iter().filter(|name| *name != ehlo) {
        match ask.addresses(name).await {
            Err(unknown) => return Err((name.clone(), unknown)),
            Ok(back) if back.data.contains(address) => return Ok(Some(name.clone())),
            Ok(_) => {}
        }
    }
    Ok(None)
}
