//! The flows of one stream: tenants share the stream, campaigns share their tenant.

use super::flow::Flow;
use super::shares::Shares;
use super::{FlowKey, Order, Share, Waiter};
use crate::units::Timestamp;
use std::borrow::Cow;

/// Flows of one stream.
pub struct Band<F, W> {
    tenants: Shares<Flows<F, W>, W>,
    len: usize,
    /// Until when nobody is asked, and why.
    rest: Option<(Timestamp, W)>,
}

/// The flows of one tenant.
type Flows<F, W> = Shares<Flow<F>, W>;

/// A flow, by where it and its tenant are.
#[derive(Clone, Copy)]
pub struct At {
    pub tenant: u32,
    pub flow: u32,
}

impl<F, W> Default for Band<F, W> {
    fn default() -> Self {
        Self {
            tenants: Shares::default(),
            len: 0,
            rest: None,
        }
    }
}

impl<F, W> Band<F, W> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, waiter: Waiter, turn: u32, at: At) {
        if let Some(flow) = self.flow_mut(at) {
            flow.push(waiter, turn);
            self.len += 1;
        }
    }

    pub fn find(&self, key: FlowKey<'_>) -> Option<At> {
        let tenant = self.tenants.find(name(key.tenant))?;
        let flows = &self.tenants.get(tenant)?.inner;
        let flow = flows.find(&flow_name(key))?;
        Some(At { tenant, flow })
    }

    /// Adds a flow that is not there yet.
    pub fn enter(&mut self, key: FlowKey<'_>, share: Share<F>) -> Option<At> {
        let tenant = match self.tenants.find(name(key.tenant)) {
            Some(tenant) => tenant,
            None => self.tenants.enter(name(key.tenant), Flows::default()),
        };
        let member = self.tenants.get_mut(tenant)?;
        member.set_weight(share.weight);
        let flow = member.inner.enter(&flow_name(key), Flow::new(share.kept));
        if member.resting().is_some_and(|rest| rest.why.is_none()) {
            self.tenants.rouse(tenant);
        }
        Some(At { tenant, flow })
    }

    /// The flow whose turn it is. Flows that have become empty leave when it would be theirs; a tenant rests while
    /// all its flows do.
    pub fn next(&mut self, now: Timestamp) -> Option<At> {
        if self.is_resting(now) {
            return None;
        }
        self.rest = None;
        self.tenants.wake(now);
        while let Some(tenant) = self.tenants.first() {
            let flows = &mut self.tenants.get_mut(tenant)?.inner;
            flows.wake(now);
            if let Some(flow) = first_waiting(flows) {
                return Some(At { tenant, flow });
            }
            match flows.first_to_wake() {
                Some((until, _)) => self.tenants.rest(tenant, until, None),
                None => self.tenants.leave(tenant),
            }
        }
        None
    }

    /// Somebody may be asked; it may turn out that nothing of it is left.
    pub fn may_go(&self, now: Timestamp) -> bool {
        let wakes = self.tenants.first_to_wake();
        let awake = self.tenants.first().is_some() || wakes.is_some_and(|(until, _)| until <= now);
        awake && !self.is_resting(now)
    }

    fn is_resting(&self, now: Timestamp) -> bool {
        self.rest.as_ref().is_some_and(|(until, _)| now < *until)
    }

    pub fn flow(&self, at: At) -> Option<&Flow<F>> {
        let tenant = self.tenants.get(at.tenant)?;
        Some(&tenant.inner.get(at.flow)?.inner)
    }

    fn flow_mut(&mut self, at: At) -> Option<&mut Flow<F>> {
        let tenant = self.tenants.get_mut(at.tenant)?;
        Some(&mut tenant.inner.get_mut(at.flow)?.inner)
    }

    pub fn tenant_name(&self, at: At) -> Option<&str> {
        Some(self.tenants.get(at.tenant)?.name())
    }

    /// Takes the next of the flow whose turn it is.
    #[must_use = "these entries are in no queue now"]
    pub fn take(&mut self, at: At, order: Order, join: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let flow = self.flow_mut(at);
        let batch = flow.map_or_else(Vec::new, |flow| flow.take(order, join));
        self.len -= batch.len();
        let recipients = batch.iter().map(|waiter| u64::from(waiter.recipients));
        let recipients = recipients.sum();
        if let Some(tenant) = self.tenants.get_mut(at.tenant) {
            tenant.inner.charge(at.flow, recipients);
        }
        self.tenants.charge(at.tenant, recipients);
        batch
    }

    /// Passes all over.
    pub fn rest(&mut self, until: Timestamp, why: W) {
        self.rest = Some((until, why));
    }

    pub fn rest_flow(&mut self, at: At, until: Timestamp, why: W) {
        if let Some(tenant) = self.tenants.get_mut(at.tenant) {
            tenant.inner.rest(at.flow, until, Some(why));
        }
    }

    pub fn rest_tenant(&mut self, at: At, until: Timestamp, why: W) {
        self.tenants.rest(at.tenant, until, Some(why));
    }

    /// Until when a tenant as a whole is passed over, and why.
    pub fn tenant_rest(&self, tenant: &str) -> Option<(Timestamp, &W)> {
        let rest = self.tenants.get(self.tenants.find(tenant)?)?.resting()?;
        Some((rest.until, rest.why.as_ref()?))
    }

    /// Until when a flow is passed over, itself, with its tenant or with all, and why.
    pub fn rest_of(&self, at: At) -> Option<(Timestamp, &W)> {
        let tenant = self.tenants.get(at.tenant)?;
        let whole = tenant.resting();
        let own = tenant.inner.get(at.flow)?.resting();
        let rests = [whole, own].into_iter().flatten();
        let rests = rests.filter_map(|rest| Some((rest.until, rest.why.as_ref()?)));
        rests
            .chain(self.whole_rest())
            .max_by_key(|(until, _)| *until)
    }

    /// When the first of those that rest can be asked again, and why it rests.
    pub fn first_to_wake(&self) -> Option<(Timestamp, &W)> {
        if let Some(rest) = self.whole_rest() {
            return Some(rest);
        }
        let (until, tenant) = self.tenants.first_to_wake()?;
        let tenant = self.tenants.get(tenant)?;
        let why = match tenant.resting().and_then(|rest| rest.why.as_ref()) {
            Some(why) => why,
            None => {
                let (_, flow) = tenant.inner.first_to_wake()?;
                tenant.inner.get(flow)?.resting()?.why.as_ref()?
            }
        };
        Some((until, why))
    }

    fn whole_rest(&self) -> Option<(Timestamp, &W)> {
        let (until, why) = self.rest.as_ref()?;
        Some((*until, why))
    }

    pub fn wake_all(&mut self) {
        self.rest = None;
        self.tenants.wake_all();
        for tenant in self.tenants.iter_mut() {
            tenant.inner.wake_all();
        }
    }

    pub fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        let flows = self.tenants.into_inner().flat_map(Shares::into_inner);
        flows.flat_map(Flow::into_waiters)
    }

    /// How many tenants, and how many campaigns of the flow's own, have something that waits.
    pub fn sharers(&self, at: At) -> (usize, usize) {
        let waiting = |flows: &Flows<F, W>| campaigns(flows) > 0;
        let tenants = self.tenants.iter();
        let tenants = tenants.filter(|(_, tenant)| waiting(&tenant.inner));
        let own = self.tenants.get(at.tenant);
        (
            tenants.count(),
            own.map_or(0, |tenant| campaigns(&tenant.inner)),
        )
    }

    /// The first of each flow.
    pub fn fronts(&self, order: Order) -> impl Iterator<Item = (&F, Waiter)> {
        let tenants = self.tenants.iter();
        let flows = tenants.flat_map(|(_, member)| member.inner.iter());
        flows.filter_map(move |(_, flow)| Some((&flow.inner.kept, flow.inner.front(order)?)))
    }

    /// Takes out what waits in the flows that are wanted; they leave when their turn comes.
    pub fn drain_where(&mut self, wanted: &mut impl FnMut(&F) -> bool, to: &mut Vec<Waiter>) {
        let tenants = self.tenants.iter_mut();
        let flows = tenants.flat_map(|tenant| tenant.inner.iter_mut());
        for flow in flows.filter(|flow| wanted(&flow.inner.kept)) {
            let before = to.len();
            to.extend(flow.inner.take_all());
            self.len -= to.len() - before;
        }
    }
}

/// The flow of a tenant whose turn it is; those before it that are empty leave.
fn first_waiting<F, W>(flows: &mut Flows<F, W>) -> Option<u32> {
    while let Some(flow) = flows.first() {
        if flows.get(flow).is_some_and(|flow| !flow.inner.is_empty()) {
            return Some(flow);
        }
        flows.leave(flow);
    }
    None
}

/// How many flows have something that waits.
fn campaigns<F, W>(flows: &Flows<F, W>) -> usize {
    let waiting = flows.iter().filter(|(_, flow)| !flow.inner.is_empty());
    waiting.count()
}

/// Mail of no tenant, or of no campaign, is a member like others. No label is empty.
/// Of a campaign's mail by one pool.
fn flow_name(key: FlowKey<'_>) -> Cow<'_, str> {
    let campaign = name(key.campaign);
    match key.pool {
        None => campaign.into(),
        // Labels have no control characters.
        Some(pool) => format!("{campaign}\u{1f}{pool}").into(),
    }
}

fn name(label: Option<&str>) -> &str {
    label.unwrap_or_default()
}
