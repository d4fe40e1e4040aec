# ruff: noqa: ANN401 - defects replace functions of any shape
"""Clauses of docs/semantics.md undone in the decision core, one by one, each of which random histories must notice.

Each replaces something of `streams` by what a careless hand would have written, or what was there before the clause,
for as long as the context lasts. What several modules have imported by name is replaced in each of them.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import msgspec

from streams.contracts import decode, lenient
from streams.contracts.wire import PREFERENCE
from streams.decision import places, plan, request_context, selection, vocabulary
from streams.decision.ledger import outcomes, precedence, preferences
from streams.decision.places import Place, Places
from streams.decision.rules.consent import ConsentRule
from streams.decision.tables import ZoneTable
from streams.decision.vocabulary import Vocabulary
from tests.golden import sides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING: Final = PREFERENCE.fields | {"chanel", "list_id", "channels", "detail", "minor"}


# ---- times ----------------------------------------------------------------------------------------------------------


def _times_of_1970_believed() -> Iterator[Any]:
    """A moment in seconds, read as milliseconds, is a moment like any other."""
    yield patch.object(preferences, "BELIEVED_FROM_MS", 0)


def _ends_before_their_beginning_believed() -> Iterator[Any]:
    """A no that ends before it begins is over."""
    yield _moments(lambda event, found: found._replace(end_ms=event.until) if _is_early(event, found) else found)


def _is_early(event: Any, found: Any) -> bool:
    until = event.until
    return until is not None and preferences.BELIEVED_FROM_MS <= until <= found.effective_ms


def _ends_kept_where_the_beginning_is_not_believed() -> Iterator[Any]:
    """Only the one time that cannot be true is left out."""
    yield _moments(
        lambda event, found: (
            found._replace(end_ms=event.until)
            if event.until is not None and event.until > found.effective_ms
            else found
        )
    )
    yield patch.object(lenient, "_TIMES_OF_A_NO", frozenset())


def _implausible_permissions_in_force() -> Iterator[Any]:
    """A yes that cannot have been given then is taken as well as it can be."""
    yield _moments(lambda _, found: found._replace(doubted=0))


def _permissions_end_by_until_alone() -> Iterator[Any]:
    """`expires_at` is for consents."""

    def changed(event: Any, found: Any) -> Any:
        return found if event.type == "consent_granted" else found._replace(end_ms=event.until)

    yield _moments(changed)


def _moments(changed: Callable[[Any, Any], Any]) -> Any:
    moments = preferences._moments
    return patch.object(preferences, "_moments", lambda event, *times: changed(event, moments(event, *times)))


def _outcomes_believed_whenever() -> Iterator[Any]:
    """An outcome long before its decision confirms the contact, at the decision."""
    yield patch.object(outcomes, "_is_believed", lambda *_: True)


# ---- words ----------------------------------------------------------------------------------------------------------


def _unknown_words_cover_nothing() -> Iterator[Any]:
    """A no about a word that nobody knows is about nothing."""

    def covering(name: str, covers: Callable[..., bool]) -> Callable[..., bool]:
        def covers_known(self: Vocabulary, named: str, actual: str, *, restricts: bool) -> bool:
            return covers(self, named, actual, restricts=restricts and self.understands(name, named))

        return covers_known

    for name in ("channel", "purpose"):
        covers = getattr(Vocabulary, f"covers_{name}")
        yield patch.object(Vocabulary, f"covers_{name}", covering(name, covers))


def _every_is_a_topic() -> Iterator[Any]:
    """`all` is a topic like any other."""
    yield patch.object(vocabulary, "EVERYTHING", frozenset())


def _words_compared_as_written() -> Iterator[Any]:
    """A word is itself, and nothing that looks like it."""
    for module in (vocabulary, preferences, outcomes):
        yield patch.object(module, "fold", lambda word: word)


def _other_names_ignored() -> Iterator[Any]:
    """Words have one name."""
    yield patch.object(Vocabulary, "word", lambda _, __, named: vocabulary.fold(named))


def _groups_are_no_scopes() -> Iterator[Any]:
    """A group's name is a channel nobody knows."""
    make = Vocabulary.__init__

    def without_groups(self: Vocabulary, channels: Any, purposes: Any, other_names: Any) -> None:
        make(self, dict.fromkeys(channels), purposes, other_names)

    yield patch.object(Vocabulary, "__init__", without_groups)


def _unknown_words_permit() -> Iterator[Any]:
    """A yes with a word nobody knows waits in force for the policy to know it."""
    yield patch.object(preferences, "_unknown_words", lambda *_: 0)


def _words_that_are_none_left_out() -> Iterator[Any]:
    """A no whose channel cannot be read is a no to everything, which a narrow yes undoes."""
    yield patch.object(lenient, "_WORDS", frozenset())


# ---- what a yes undoes ----------------------------------------------------------------------------------------------


def _the_latest_wins() -> Iterator[Any]:
    """Whatever a later yes names."""
    yield patch.object(precedence, "names_all_of", lambda *_: True)


def _a_yes_to_everything_names_too_little() -> Iterator[Any]:
    """A yes that names nothing undoes only a no that names nothing."""
    names_all_of = precedence.names_all_of

    def strictly(yes: Any, no: Any, known: Vocabulary) -> bool:
        same = precedence.scope_of(yes) == precedence.scope_of(no)
        return same if not any(precedence.scope_of(yes)) else names_all_of(yes, no, known)

    yield patch.object(precedence, "names_all_of", strictly)


def _the_yes_wins_at_one_moment() -> Iterator[Any]:
    """Of a yes and a no of one order the yes counts."""

    def undoes(yes: Any, no: Any, known: Vocabulary) -> bool:
        is_later = yes.order_ms >= no.order_ms
        return is_later and yes.source == no.source and precedence.names_all_of(yes, no, known)

    yield patch.object(precedence, "_undoes", undoes)


def _anybody_lifts_a_restriction() -> Iterator[Any]:
    """A register's lift lifts what the customer asked for."""

    def undoes(yes: Any, no: Any, known: Vocabulary) -> bool:
        return yes.order_ms > no.order_ms and precedence.names_all_of(yes, no, known)

    yield patch.object(precedence, "_undoes", undoes)


def _restrictions_of_all_sources_are_one() -> Iterator[Any]:
    """The later restriction takes the place of another's."""
    same = preferences.same_place

    def same_place(one: Any, other: Any) -> bool:
        return same(one, msgspec.structs.replace(other, source=one.source))

    yield patch.object(preferences, "same_place", same_place)


def _the_latest_consent_wins() -> Iterator[Any]:
    """A grant of one purpose undoes a withdrawal of a channel."""

    def no(_: Any, __: Any, proven: Any, moment_ms: int) -> str | None:
        acting = [p for p in proven if precedence.in_force(p, moment_ms, precedence.end_of(p))]
        latest = max(acting, key=lambda p: (p.order_ms, p.type == "consent_withdrawn"), default=None)
        return "consent_withdrawn" if latest is not None and latest.type == "consent_withdrawn" else None

    yield patch.object(ConsentRule, "_no", no)


# ---- events ---------------------------------------------------------------------------------------------------------


def _permissions_with_fields_nobody_knows() -> Iterator[Any]:
    """An unknown field of a yes is ignored, like any other."""
    yield patch.object(decode, "_strict_preference", PREFERENCE.tolerant.decode)
    yield patch.dict(decode._SPEAKING, dict.fromkeys(decode._SPEAKING, EVERYTHING))


def _permissions_with_fields_that_say_nothing() -> Iterator[Any]:
    """A known field may stand in any event."""
    yield patch.dict(decode._SPEAKING, dict.fromkeys(decode._SPEAKING, PREFERENCE.fields))


def _a_no_without_customer_is_a_dead_letter() -> Iterator[Any]:
    """The key is only where it stands."""
    yield patch.object(lenient, "customer_of", lambda _: None)


def _a_no_spelled_otherwise_is_unknown() -> Iterator[Any]:
    """A type has one spelling."""
    yield patch.dict(lenient._SPELLINGS, clear=True)


def _a_garbled_no_is_a_dead_letter() -> Iterator[Any]:
    """A record with a field that cannot be read cannot be read."""
    yield patch.object(decode, "lenient_preference", lambda *_: None)


def _unread_records_are_dead_letters_only() -> Iterator[Any]:
    """Nobody knows what it was, so that nothing comes of it."""
    yield patch.object(decode, "unread_preference", lambda *_: None)


def _an_opt_in_clears_up_what_nobody_read() -> Iterator[Any]:
    """What nobody could read is an opt-out like any other."""
    yield patch.dict(precedence.TRACK_OF, {"unread": "opt_out"})


def _consent_hears_only_what_was_read() -> Iterator[Any]:
    """What nobody could read was no withdrawal."""

    def no(rule: Any, context: Any, proven: Any, moment_ms: int) -> str | None:
        withdrawn = precedence.standing(proven, moment_ms, context.policy.vocabulary, rule._end)
        return None if withdrawn is None else "consent_withdrawn"

    yield patch.object(ConsentRule, "_no", no)


def _consents_on_their_way_outlive_what_nobody_read() -> Iterator[Any]:
    """Only a withdrawal that was read takes them back."""
    reason_to_withdraw = preferences._reason_to_withdraw

    def reason(kind: str, *rest: Any) -> str | None:
        return reason_to_withdraw("opt_out" if kind == "unread" else kind, *rest)

    yield patch.object(preferences, "_reason_to_withdraw", reason)


def _what_comes_later_was_clarified_before() -> Iterator[Any]:
    """If it was said before."""
    yield patch.object(preferences, "_clarified_ms", lambda _: 0)


# ---- STOP -----------------------------------------------------------------------------------------------------------


def _stop_only_in_replies() -> Iterator[Any]:
    """Elsewhere the code is a gateway's."""
    is_stop = outcomes.is_stop
    for module in (outcomes, lenient, decode):
        yield patch.object(module, "is_stop", lambda kind, detail: kind == "reply" and is_stop(kind, detail))


def _stop_is_one_word() -> Iterator[Any]:
    """In whatever case, blanks around it ignored."""
    yield patch.object(outcomes, "code", lambda detail: detail.strip().lower())


def _of_two_answers_the_last_counts() -> Iterator[Any]:
    """As JSON readers have it."""
    yield patch.object(decode, "duplicated_values", lambda *_: {})


def _a_call_that_ends_is_a_no() -> Iterator[Any]:
    """A customer's words are a no wherever they stand."""
    is_stop = outcomes.is_stop
    for module in (outcomes, lenient, decode):
        yield patch.object(module, "is_stop", lambda _, detail: is_stop("reply", detail))


def _stop_is_about_the_contact_alone() -> Iterator[Any]:
    """The outcome's own channel is asked only where the contact is not known."""
    apply_outcome = outcomes.apply_outcome

    def applied(outcome: Any, ledger: Any, **more: Any) -> Any:
        if outcomes._position(ledger, outcome.decision_id) is not None:
            outcome = msgspec.structs.replace(outcome, channel=None)
        return apply_outcome(outcome, ledger, **more)

    yield patch.object(sides, "apply_outcome", applied)


def _stop_about_no_channel_anybody_could_read() -> Iterator[Any]:
    """A channel or decision that cannot be read is left out."""
    is_present = lenient._is_present
    guessed = {"channel", "decision_id"}
    yield patch.object(lenient, "_is_present", lambda members, name: name not in guessed and is_present(members, name))


# ---- places ---------------------------------------------------------------------------------------------------------


def _a_rule_for_a_region_is_for_no_other() -> Iterator[Any]:
    """Where the region is not known a rule for one is not asked."""
    yield patch.object(selection, "countries_in_part", lambda _: frozenset())


def _the_country_again_drops_the_region() -> Iterator[Any]:
    """The intent's country comes with the intent's region, or none."""
    country_and_region = places.country_and_region

    def dropping(intent: Any, profile: Any) -> Any:
        return country_and_region(intent, profile if intent.country is None else None)

    yield patch.object(plan, "country_and_region", dropping)


def _the_profile_knows_the_region_better() -> Iterator[Any]:
    """The intent's region without a country is not looked at."""
    country_and_region = places.country_and_region

    def ignoring(intent: Any, profile: Any) -> Any:
        region = None if intent.country is None else intent.region
        return country_and_region(msgspec.structs.replace(intent, region=region), profile)

    yield patch.object(plan, "country_and_region", ignoring)


def _provinces_are_regions() -> Iterator[Any]:
    """A province is another place than the region it lies in."""
    yield patch.object(Places, "place", lambda _, country, token: Place(country, token or token))


def _regions_that_do_not_exist_are_others() -> Iterator[Any]:
    """A code that does not exist is not the one a rule is for."""
    token = Places.token
    yield patch.object(Places, "token", lambda *of: token(*of) or places.OTHER)


def _holidays_of_the_country_alone() -> Iterator[Any]:
    """Where the region is not known its holidays are none."""
    yield patch.object(Places, "_is_part", lambda *_: False)


def _a_zone_is_believed_whatever_the_country() -> Iterator[Any]:
    """The zone named is the recipient's, wherever that is."""
    yield patch.object(ZoneTable, "has_clock_of", lambda *_: True)


def _the_country_is_believed_whatever_the_zone() -> Iterator[Any]:
    """Where zone and country contradict each other the country's hours count."""
    recipient_zones = request_context._recipient_zones

    def believing(named: Any, source: Any, place: Any, location: Any) -> Any:
        zones, label = recipient_zones(named, source, place, location)
        if label is not None and len(label) > 2:
            return location.zones_of(place)[0], label
        return zones, label

    yield patch.object(request_context, "_recipient_zones", believing)


CLAUSES: Final[dict[str, Callable[[], Iterator[Any]]]] = {
    made.__name__.removeprefix("_"): made
    for made in (
        _times_of_1970_believed,
        _ends_before_their_beginning_believed,
        _ends_kept_where_the_beginning_is_not_believed,
        _implausible_permissions_in_force,
        _permissions_end_by_until_alone,
        _outcomes_believed_whenever,
        _unknown_words_cover_nothing,
        _every_is_a_topic,
        _words_compared_as_written,
        _other_names_ignored,
        _groups_are_no_scopes,
        _unknown_words_permit,
        _words_that_are_none_left_out,
        _the_latest_wins,
        _a_yes_to_everything_names_too_little,
        _the_yes_wins_at_one_moment,
        _anybody_lifts_a_restriction,
        _restrictions_of_all_sources_are_one,
        _the_latest_consent_wins,
        _permissions_with_fields_nobody_knows,
        _permissions_with_fields_that_say_nothing,
        _a_no_without_customer_is_a_dead_letter,
        _a_no_spelled_otherwise_is_unknown,
        _a_garbled_no_is_a_dead_letter,
        _unread_records_are_dead_letters_only,
        _an_opt_in_clears_up_what_nobody_read,
        _consent_hears_only_what_was_read,
        _consents_on_their_way_outlive_what_nobody_read,
        _what_comes_later_was_clarified_before,
        _stop_only_in_replies,
        _stop_is_one_word,
        _of_two_answers_the_last_counts,
        _a_call_that_ends_is_a_no,
        _stop_is_about_the_contact_alone,
        _stop_about_no_channel_anybody_could_read,
        _a_rule_for_a_region_is_for_no_other,
        _the_country_again_drops_the_region,
        _the_profile_knows_the_region_better,
        _provinces_are_regions,
        _regions_that_do_not_exist_are_others,
        _holidays_of_the_country_alone,
        _a_zone_is_believed_whatever_the_country,
        _the_country_is_believed_whatever_the_zone,
    )
}


@contextmanager
def undone(name: str) -> Iterator[None]:
    """Without this clause."""
    with ExitStack() as stack:
        for one in CLAUSES[name]():
            stack.enter_context(one)
        yield
