"""The planted faults: where, what stands there, what is put instead, and who must notice.

A fault is caught by a named test where one is quick; the rest are caught by histories of the
simulation, which are the only place where they show.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: What goes wrong.
        file: Where, from the root of the project.
        old: The text that stands there, exactly once.
        new: What is put in its place.
        tests: pytest ids; one that fails is enough.
        seeds: Without ``tests``: the first seed and the number of histories to play.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    seeds: tuple[int, int] = (1, 40)


ACCEPT: Final = "shared/log/accept.py"
BYPASS: Final = "shared/domain/custody/bypass.py"
LACKS: Final = "shared/domain/custody/lacks.py"
BYPASS_TESTS: Final = "tests/unit/domain/test_bypass.py"
AUTHOR: Final = "shared/node/author.py"
FRAMES: Final = "shared/link/frames.py"
LOG: Final = "shared/log/log.py"
SESSION: Final = "shared/link/session.py"
ROSTER: Final = "shared/trust/roster.py"
ACCEPT_TESTS: Final = "tests/unit/log/test_accept.py"
BAD_TESTS: Final = "tests/integration/test_bad_neighbour.py"
ROSTER_TESTS: Final = "tests/unit/trust/test_roster.py"
SUCCESSION_TESTS: Final = "tests/unit/trust/test_succession.py"
SESSION_TESTS: Final = "tests/property/test_session.py"
EVIDENCE: Final = "shared/domain/evidence.py"
EVIDENCE_TESTS: Final = "tests/vectors/test_evidence.py"

MUTANTS: Final = (
    Mutant(
        "the author answers before the commit",
        AUTHOR,
        "                    await self._log.append(batch)\n",
        "                    [one.answer.set_result(result) for one, result in done]\n"
        "                    await self._log.append(batch)\n",
        seeds=(2, 40),
    ),
    Mutant(
        "the log believes a batch before it is flushed",
        LOG,
        "        await self.store.commit(trial.batch)\n",
        "        self.feeds.update(trial.feeds)\n        await self.store.commit(trial.batch)\n",
    ),
    Mutant(
        "authority is not looked at",
        "shared/trust/authority.py",
        "        if not any(reach in row.reaches and feed.lane in row.lanes for row in rows):\n",
        "        if not rows and reach:\n",
        tests=("tests/unit/trust/test_authority.py",),
    ),
    Mutant(
        "a gap is accepted",
        ACCEPT,
        '        late_start = run.feed.lane == "custody" and in_order\n',
        "        late_start = in_order\n",
        tests=(ACCEPT_TESTS,),
    ),
    Mutant(
        "custody begins late although a frame was lost",
        ACCEPT,
        '        late_start = run.feed.lane == "custody" and in_order\n',
        '        late_start = run.feed.lane == "custody"\n',
        tests=(ACCEPT_TESTS,),
    ),
    Mutant(
        "a record without a good signature is accepted",
        ACCEPT,
        "        if _signed(records[count - 1], key):\n",
        "        if records[count - 1].header:\n",
        tests=(ACCEPT_TESTS,),
    ),
    Mutant(
        "in the trust lane one signature vouches for all",
        ACCEPT,
        'each=run.feed.lane == "trust")',
        "each=False)",
        tests=(ACCEPT_TESTS,),
    ),
    Mutant(
        "a fork is taken for a repetition",
        ACCEPT,
        "    if difference is not None:\n",
        "    if difference is not None and difference < 0:\n",
        tests=(ACCEPT_TESTS,),
    ),
    Mutant(
        "the body is not compared with its hash",
        "shared/record/run.py",
        "        check_body(record)\n",
        "        check_body  # noqa: B018\n",
        tests=("tests/unit/record/test_run.py",),
    ),
    Mutant(
        "Heads of anybody are believed",
        FRAMES,
        "    if not any(key.verifies(envelope, HEADS_AAD) for key in keys):\n",
        "    if not envelope:\n",
        tests=("tests/unit/link/test_frames.py",),
    ),
    Mutant(
        "views follow the authors' clocks",
        "shared/domain/projection.py",
        "    return fact.level, fact.feed.key, fact.seq, fact.rid\n",
        "    return fact.claimed_at_ms, fact.feed.key, fact.seq, fact.rid\n",
        tests=("tests/unit/domain/test_projection.py",),
    ),
    Mutant(
        "what goes down is relayed to those beside",
        "shared/record/feed.py",
        'audience.endswith("*") and node.startswith(code))',
        'audience.endswith("*"))',
        tests=("tests/property/test_holders.py", "tests/unit/record/test_feed.py"),
    ),
    Mutant(
        "a link offers what the neighbour is not entitled to",
        SESSION,
        "        if not self._is_carried(feed):\n            return\n",
        "        if not is_holder(feed, self.me):\n            return\n",
    ),
    Mutant(
        "custody is stated of custody",
        "shared/domain/custody/rules.py",
        '        if feed.lane == "custody":\n            return\n        if feed.author',
        "        if feed.author",
        tests=("tests/unit/domain/test_custody_rules.py",),
    ),
    Mutant(
        "what is under way is sent again",
        SESSION,
        "        first = max(self._view.count(feed), self._under_way(feed))\n",
        "        first = self._view.count(feed)\n",
        seeds=(4, 40),
    ),
    Mutant(
        "a chunk that the neighbour has not seen counts as answered",
        "shared/link/unanswered.py",
        "        done = {n: flight for n, flight in self._flights.items() if n <= seen}\n",
        "        done = dict(self._flights)\n",
        seeds=(4, 40),
    ),
    Mutant(
        "what the neighbour sent is sent back",
        SESSION,
        "            if known is None or known.count < run.end:\n",
        "            if known is not None and known.count > run.end:\n",
        seeds=(4, 40),
    ),
    Mutant(
        "a refused run is sent for ever",
        "shared/link/stalls.py",
        "            stall.answers += 1\n",
        "            stall.answers += 0\n",
    ),
    Mutant(
        "a feed that was refused twice is never tried again",
        "shared/link/stalls.py",
        "                stall.until = now + stall.pause\n",
        "                stall.until = None\n",
        seeds=(17, 40),
    ),
    Mutant(
        "the marker is ignored",
        "shared/app/compose.py",
        "        and marker.records <= node.author.own_records()\n",
        "        and marker.records >= 0\n",
    ),
    Mutant(
        "doubt opens no new epoch",
        LOG,
        "        self.doubt |= trial.doubt\n",
        "        self.doubt |= trial.doubt and not self.epoch\n",
        seeds=(11, 40),
    ),
    Mutant(
        "the trunk of a forked feed ends above the difference",
        LOG,
        "        trial.batch.cuts.append((feed, count))\n",
        "        trial.batch.cuts.append((feed, count + 1))\n",
        tests=("tests/mutants/test_forks.py",),
    ),
    Mutant(
        "who hears of a fork early misses what lies below",
        LOG,
        "        if fork is None or not run.first_seq",
        "        if fork is None or run.feed or not run.first_seq",
        tests=("tests/mutants/test_forks.py",),
    ),
    Mutant(
        "a proof above two branches cuts the trunk too high",
        LOG,
        "    return proof.seq - (len(prevs) - 1)\n",
        "    return proof.seq - (len(prevs) - len(prevs))\n",
        tests=("tests/mutants/test_forks.py",),
    ),
    Mutant(
        "a branch of a fork is thrown away",
        LOG,
        "        trial.batch.aside.extend(branch)\n",
        "        trial.batch.aside.extend(branch[:0])\n",
        tests=("tests/mutants/test_forks.py",),
    ),
    Mutant(
        "an author does not look at its own signature",
        AUTHOR,
        "        if not self._key.public.verifies(record.envelope, RECORD_AAD):\n",
        "        if not record.envelope:\n",
        tests=("tests/mutants/test_author.py",),
    ),
    Mutant(
        "the session of a restarted neighbour is not noticed",
        SESSION,
        "            self._behind = set(self._own)\n",
        "            self._behind |= set()\n",
        tests=(SESSION_TESTS,),
    ),
    Mutant(
        "an answer that was lost is not asked for again",
        SESSION,
        "                return\n            self._owed.want(Mode.NONE, ask=True)\n",
        "                return\n",
        tests=(SESSION_TESTS,),
    ),
    Mutant(
        "a replayed frame is taken for news",
        SESSION,
        "        if n <= self._seen:\n",
        "        if n < 0:\n",
        tests=(SESSION_TESTS,),
    ),
    Mutant(
        "a full disk is not told",
        "shared/node/conversation.py",
        "            self.session.full([run.feed for run in chunk.runs], now)\n",
        "",
        tests=(BAD_TESTS,),
    ),
    Mutant(
        "a neighbour brings what is not for us",
        "shared/node/conversation.py",
        "        self.session.check_carried(run.feed for run in chunk.runs)\n",
        "",
        tests=(BAD_TESTS,),
    ),
    Mutant(
        "a key is certified that nobody asked for",
        ROSTER,
        "        if certificate.key.verifies_bytes(bytes.fromhex(body.proof), asked):\n",
        "        if asked:\n",
        tests=(ROSTER_TESTS,),
    ),
    Mutant(
        "a second certificate replaces a key",
        ROSTER,
        "        return 1, len(one.issuer.author), depth, seq, rid\n",
        "        return 1, len(one.issuer.author), 0, 0, rid\n",
        tests=(ROSTER_TESTS,),
    ),
    Mutant(
        "what came by the by-pass proves the tree",
        BYPASS,
        "_is_beat(lack) and lack not in self._beats for",
        "_is_beat(lack) for",
        tests=(BYPASS_TESTS,),
    ),
    Mutant(
        "trials do not become rarer",
        BYPASS,
        "min(2 * self._open_ms, self.times.open_ms_max)",
        "self._open_ms",
        tests=(BYPASS_TESTS,),
    ),
    Mutant(
        "a town's beat speaks for the district's feeds",
        LACKS,
        "                if held.author == author:\n",
        "                if held.author:\n",
        tests=("tests/unit/domain/test_lacks.py",),
    ),
    Mutant(
        "certificates of anybody are taken in the handshake",
        "shared/node/papers.py",
        "            if not all(_leads(run.feed, self._log.me, caller) for run in frame.runs):\n",
        "            if not frame.runs:\n",
        tests=("tests/unit/node/test_papers.py",),
    ),
    Mutant(
        "evidence takes a count for the record that it counts",
        EVIDENCE,
        "        if held.feed == run.feed and rids.get(held.rid) == held.up_to - 1:\n",
        "        if held.feed == run.feed and held.up_to > run.first_seq:\n",
        tests=(EVIDENCE_TESTS,),
    ),
    Mutant(
        "evidence takes the author's word for another's",
        EVIDENCE,
        "    own = header.feed.author == run.feed.author\n",
        "    own = False\n",
        tests=(EVIDENCE_TESTS,),
    ),
    Mutant(
        "evidence may hold certificates that do not count",
        EVIDENCE,
        "    if not (opens or roster.counts(rid) or roster.confirmed_by(rid)):\n",
        "    if not roster.anchor:\n",
        tests=(EVIDENCE_TESTS,),
    ),
    Mutant(
        "evidence may begin on another base",
        ACCEPT,
        "    if run.first_seq == 0 and run.records[0].header.prev != base.first_prev:\n",
        "    if run.first_seq < 0:\n",
        tests=(EVIDENCE_TESTS,),
    ),
    Mutant(
        "evidence takes any signature",
        ACCEPT,
        "    if _vouched(run.records, base.certificate.key, each=each) < len(run.records):\n",
        "    if not _vouched(run.records, base.certificate.key, each=each):\n",
        tests=(EVIDENCE_TESTS,),
    ),
    Mutant(
        "a key is replaced without its consent",
        ROSTER,
        "        return self._consents[new.rid]\n",
        "        return bool(new.consent)\n",
        tests=(SUCCESSION_TESTS,),
    ),
    Mutant(
        "any successor of a replaced key counts",
        "shared/trust/certificate.py",
        "        at = next((heir for heir in heirs if may_replace(line[-1], heir)), None)\n",
        "        at = next(heirs, None)\n",
        tests=(SUCCESSION_TESTS,),
    ),
    Mutant(
        "what the replaced key signed counts no longer",
        ROSTER,
        "        return certificate in self._counting.get(certificate.division, ())\n",
        "        return certificate == self.certificate_of(certificate.division)\n",
        tests=(SUCCESSION_TESTS,),
    ),
    Mutant(
        "the first confirmation counts, and the district cannot correct it",
        ROSTER,
        "            return 0, 0, -depth, -seq, rid\n",
        "            return 0, 0, depth, seq, rid\n",
        tests=(SUCCESSION_TESTS,),
    ),
    Mutant(
        "a certificate that comes to count changes nothing that was learned before",
        ROSTER,
        "any((one in before) != (one in after) for one in held if one != new)\n",
        "any(one not in after for one in before)\n",
        tests=("tests/property/test_succession.py",),
    ),
    Mutant(
        "whoever takes a division's key over raises no alarm",
        ROSTER,
        "            before = {one.rid for one in line[:first]}\n",
        "            before = {one.rid for one in line}\n",
        tests=(SUCCESSION_TESTS,),
    ),
    Mutant(
        "an alarm that could not be written is forgotten",
        "shared/node/guard.py",
        "                    await self._clock.sleep(RETRY_SECONDS)\n"
        "                    self._woken.set()\n",
        "                    await self._clock.sleep(RETRY_SECONDS)\n",
        tests=("tests/unit/node/test_guard.py",),
    ),
    Mutant(
        "a parent certifies another key without asking the old one",
        "shared/trust/rotation.py",
        "            and certificate.key.verifies_bytes(self.consent, agreed)\n",
        "            and bool(agreed)\n",
        tests=("tests/unit/trust/test_rotation.py",),
    ),
    Mutant(
        "after a new key the old epoch goes on",
        AUTHOR,
        "        return self._log.doubt or not self._log.epoch or self._has_new_key()\n",
        "        return self._log.doubt or not self._log.epoch\n",
        tests=("tests/integration/test_rotation.py",),
    ),
)
