//! SUBSCRIBE and UNSUBSCRIBE.

use super::core::Shard;
use super::promises::Due;
use crate::broker::access::{RuleId, Verdict};
use crate::broker::effect::{Effect, Effects, GroupKey, PeerFrame, Ticket};
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::broker::message::Message;
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::session::{HeldAck, Subscription};
use crate::broker::subscription::SubscriptionOptions;
use crate::broker::time::Timestamp;
use crate::protocol::{
    Packet, PubAckProperties, ReasonCode, RetainHandling, SharedFilter, SubAck, Subscribe, SubscribeRequest,
    SubscriptionId, Text, TopicFilter, UnsubAck, Unsubscribe, Violation,
};
use std::sync::Arc;

/// Retained messages that follow a SUBACK, each with the subscription it is for.
type Following = Vec<(Arc<Message>, SubscriptionOptions)>;

impl Shard {
    /// Makes subscriptions. The SUBACK goes once all shards know of them: it promises that what is published anywhere
    /// after it is delivered.
    pub(super) fn subscribe(&mut self, now: Timestamp, index: u32, subscribe: &Subscribe, effects: &mut Effects) {
        let is_bad_share =
            |request: &SubscribeRequest| request.no_local && request.filter.as_str().starts_with("$share/");
        if subscribe.requests.iter().any(is_bad_share) {
            return self.violated(now, index, Violation::SharedNoLocal, effects);
        }
        let Some(session) = self.sessions.get(index) else { return };
        let ticket = self.promises.open(Due::Session(session.at));
        let before = self.promises.last_commit();
        let mut following = Following::new();
        let mut reasons = Vec::with_capacity(subscribe.requests.len());
        for request in &subscribe.requests {
            let outcome = self.subscribe_one(now, index, request, subscribe.subscription_id, ticket, effects);
            let filter = request.filter.compact();
            match outcome {
                Ok(retained) => {
                    following.extend(retained);
                    reasons.push(ReasonCode::granted(request.qos));
                    self.record(index, EventKind::Subscribed { filter, qos: request.qos }, effects);
                }
                Err((reason, rule)) => {
                    reasons.push(reason.code());
                    self.record(index, EventKind::SubscribeRefused { filter, reason, rule }, effects);
                }
            }
        }
        if reasons.iter().any(|reason| !reason.is_error()) {
            self.wait_for_peers(ticket, effects);
        }
        let ticket = self.close_promise(Some(ticket), before);
        let properties = PubAckProperties::default();
        let packet = Packet::SubAck(SubAck { packet_id: subscribe.packet_id, properties, reasons });
        self.hold(now, index, HeldAck { packet, ticket, retained: following }, effects);
    }

    /// Every other shard has to say that it has seen what was sent to it so far.
    pub(super) fn wait_for_peers(&mut self, ticket: Ticket, effects: &mut Effects) {
        for peer in self.peers() {
            self.promises.wait_for_one(ticket);
            effects.push(Effect::Forward { peer, frame: PeerFrame::Barrier { ticket } });
        }
    }

    fn subscribe_one(
        &mut self,
        now: Timestamp,
        index: u32,
        request: &SubscribeRequest,
        id: Option<SubscriptionId>,
        ticket: Ticket,
        effects: &mut Effects,
    ) -> Result<Following, (Reason, Option<RuleId>)> {
        let filter = SharedFilter::new(&request.filter).map_err(|_| (Reason::TopicFilterInvalid, None))?.compact();
        let session = self.sessions.get(index).ok_or((Reason::Internal, None))?;
        let verdict = session.rights.subscribe_verdict(&filter.filter);
        match verdict {
            Verdict::Allowed(_) => {}
            Verdict::Denied(rule) | Verdict::Paused(rule) => return Err((verdict.reason(), Some(rule))),
            Verdict::NoRule | Verdict::Reserved | Verdict::NoSuchUser => return Err((verdict.reason(), None)),
        }
        let name = filter.to_string();
        let is_new = !session.subscriptions.contains_key(name.as_str());
        if is_new && session.subscriptions.len() >= self.limits.max_subscriptions {
            return Err((Reason::TooManySubscriptions, None));
        }
        let options = SubscriptionOptions {
            qos: request.qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            id,
            check_delivery: session.rights.must_check_delivery(&filter.filter),
        };
        let following = match (&filter.share, request.retain_handling) {
            (None, RetainHandling::Send) => self.retained_for(now, index, &filter.filter, &options)?,
            (None, RetainHandling::SendIfNew) if is_new => self.retained_for(now, index, &filter.filter, &options)?,
            (Some(_), _) | (None, RetainHandling::SendIfNew | RetainHandling::DoNotSend) => Following::new(),
        };
        self.add_subscription(index, &filter, options, Some(ticket), effects);
        let kept = filter.clone();
        self.journal(index, |session| Record::Subscribed { session, filter: kept, options }, effects);
        if let Some(session) = self.sessions.get_mut(index) {
            session.subscriptions.insert(name.into(), Box::new(Subscription { filter, options }));
        }
        Ok(following)
    }

    /// The retained messages that the subscriber may have: those it may receive, of publishers who may still publish.
    fn retained_for(
        &self,
        now: Timestamp,
        index: u32,
        filter: &TopicFilter,
        options: &SubscriptionOptions,
    ) -> Result<Following, (Reason, Option<RuleId>)> {
        let session = self.sessions.get(index).ok_or((Reason::Internal, None))?;
        let mut sources = super::policy::Sources::new(&self.policy);
        let mut following = Following::new();
        let room = Limits::MAX_RETAINED_BACKLOG
            .saturating_sub(session.outbound.queued_retained())
            .saturating_sub(session.inbound.retained_waiting());
        for kept in self.retained.matching(filter, now) {
            let is_own = options.no_local && self.is_from(&kept.message.origin, index);
            if is_own || !sources.may_still_publish(&kept.message) {
                continue;
            }
            if following.len() >= room {
                return Err((Reason::QueueFull, None));
            }
            following.push((Arc::clone(&kept.message), *options));
        }
        Ok(following)
    }

    /// Puts a subscription into the tree, or into its group.
    pub(super) fn add_subscription(
        &mut self,
        index: u32,
        filter: &SharedFilter,
        options: SubscriptionOptions,
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) {
        if let Some(share) = &filter.share {
            let group = Arc::new(GroupKey { share: share.clone(), filter: filter.filter.clone() });
            return self.join_group(index, group, ticket, effects);
        }
        let was_wanted = self.trie.change(&filter.filter, |leaf| {
            let was_wanted = leaf.is_wanted_here();
            leaf.set_session(index, options);
            was_wanted
        });
        if !was_wanted {
            self.tell_interest(&filter.filter, effects);
        }
    }

    /// Takes a subscription out of the tree, or out of its group.
    pub(super) fn remove_subscription(&mut self, index: u32, filter: &SharedFilter, effects: &mut Effects) {
        if let Some(share) = &filter.share {
            let group = Arc::new(GroupKey { share: share.clone(), filter: filter.filter.clone() });
            return self.leave_group(index, &group, effects);
        }
        let is_wanted = self.trie.change(&filter.filter, |leaf| {
            leaf.remove_session(index);
            leaf.is_wanted_here()
        });
        if !is_wanted {
            self.tell_no_interest(&filter.filter, effects);
        }
    }

    /// Ends subscriptions: nothing new is queued for them from here on. [v5:MQTT-3.10.4-2]
    pub(super) fn unsubscribe(&mut self, now: Timestamp, index: u32, unsubscribe: &Unsubscribe, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        let ticket = self.promises.open(Due::Session(session.at));
        let before = self.promises.last_commit();
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in &unsubscribe.filters {
            reasons.push(self.unsubscribe_one(index, filter, effects));
        }
        let properties = PubAckProperties::default();
        let packet = Packet::UnsubAck(UnsubAck { packet_id: unsubscribe.packet_id, properties, reasons });
        let ticket = self.close_promise(Some(ticket), before);
        self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
    }

    fn unsubscribe_one(&mut self, index: u32, filter: &Text, effects: &mut Effects) -> ReasonCode {
        if SharedFilter::new(filter).is_err() {
            return ReasonCode::TopicFilterInvalid;
        }
        let Some(session) = self.sessions.get_mut(index) else { return ReasonCode::UnspecifiedError };
        let Some(subscription) = session.subscriptions.remove(filter.as_str()) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        self.remove_subscription(index, &subscription.filter, effects);
        let kept = subscription.filter.clone();
        self.journal(index, |session| Record::Unsubscribed { session, filter: kept }, effects);
        self.record(index, EventKind::Unsubscribed { filter: filter.compact() }, effects);
        ReasonCode::Success
    }
}
