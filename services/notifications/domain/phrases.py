"""
Phrases that mail servers have in common, in words without accents, codes, links and addresses (``wording.py``).

They are tried from the first that a text has; each takes time that grows with the text alone.
"""

from __future__ import annotations

import re
from typing import Final

_WHO = (
    r"(?:user|recipient|account|mail ?box|inbox|mail ?folder|mail ?drop|address|addressee"
    r"|e-?mail(?: address| account)?|alias|person)"
)


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases))


FULL: Final = _any(
    r"\b(?:over|exceed\w*|disk|mail|mailbox|storage|user'?s?|inbox|recipient'?s?) (?:\S+ )?quota",
    r"\bover-?quota",
    r"\bquota (?:is |has been |was )?(?:exceed|violat|full|reached|limit)",
    r"\bquota\b.{0,20}\bexceed",
    r"\b(?:mail ?box|inbox|mail ?folder|mail ?drop|account|postvak|postfach|boite|bal)\b(?: \S+){0,5} "
    r"(?:full|vol|voll|pleine?)\b",
    r"\b(?:full|volle) (?:mail ?box|inbox|postvak)",
    r"\b(?:mail ?box|inbox|storage|disk|account)(?: \S+){0,6} (?:exceed|too (?:large|big|much))\w*",
    r"\bout of (?:storage|disk|space)",
    r"\b(?:not enough|insufficient|no) (?:\S+ )?(?:disk|storage|space)",
    r"space not enough",
    r"\bexceeded (?:\S+ )?storage",
    r"\bmaximum mail ?box size",
    r"\bquota (?:\S+ ){0,4}overschreden",
    r"\bspeicherlimit|\bspeicherplatz",
    r"\btoo much mail (?:stored|in)",
    r"\bdisk (?:is )?full",
    r"\bmailboxfull",
)
"""There is no room in the mailbox."""

DISABLED: Final = _any(
    rf"\b{_WHO}\b(?: \S+){{0,7}} (?:disabled|suspended|locked|frozen|deactivated|blocked|on hold|bloque)\b",
    rf"\b(?:disabled|suspended|locked|frozen|deactivated) {_WHO}",
    r"\bnot accepting (?:mail|messages)\b",
    r"\b(?:account|mail ?box)(?: \S+){0,2} inactive",
    r"\brecipient'?s? preferences",
    r"\breceiving mail at a rate",
    r"\bcould ?n[o']t create",
    r"\bcannot (?:create|open|write)",
    r"\block failure",
    r"\bpermission denied",
    r"\berror (?:while )?writing",
    r"\btoo many hops",
    r"\bhop ?count",
    r"\bmail loop",
    r"\brouting loop",
    r"\blooping",
)
"""The mailbox is there and takes nothing, or its own system is in trouble."""

UNREACHABLE: Final = _any(
    r"\btimed[ -]?out",
    r"\btime-?out\b",
    r"\bretry time",
    r"\bconnect(?:ion)?\b(?: \S+){0,5} (?:refused|reset|closed|lost|failed|dropped)",
    r"\blost connection",
    r"\b(?:unable|not able|failed|could ?n[o']t|was ?n[o']t able) (?:to )?(?:\S+ )?(?:connect|establish|contact)",
    r"\b(?:did ?n[o']t|does ?n[o']t|is not|are not|not) (?:respond|answer|accept our requests? to connect)",
    r"\bhosts? (?:\S+ ){0,3}(?:unreachable|not reachable|down|failing)",
    r"\b(?:server|computer|host) (?:\S+ )?not reachable",
    r"\b(?:message|envelope|queue|delivery|lifetime)\W{0,2}(?:has )?expired",
    r"\bmaximum-time-expired",
    r"\bcould ?n[o']t (?:be )?deliver(?:ed)? (?:for|after|within|in) (?:the )?",
    r"\bin the queue too long",
    r"\ballowed queue period",
    r"\bafter (?:\S+ ){0,3}(?:retries|attempts)",
    r"\bfailed \d+ attempts",
    r"\bmaximum delivery attempts",
    r"\bnot found,? try again",
    r"\bdns (?:query|server)\b.{0,20}\bfail",
    r"\bserver failure\b",
    r"\bservfail",
    r"\btemporary (?:dns|lookup|name)",
    r"\bnetwork (?:error|unreachable)",
    r"\bno route to host",
    r"\bin (?:the )?queue for\b",
    r"\bniet (?:gereageerd|bereikbaar)|\breageert niet|\bgeen antwoord",
)
"""Its server did not answer for as long as it was tried."""

OURS: Final = _any(
    # Who sends, and whether he may.
    r"\bspf\b",
    r"\bdkim\b",
    r"\bdmarc\b",
    r"\bunauthenticated",
    r"\bauth(?:entication)? ?(?:is )?(?:required|failed|checks?)",
    r"\b(?:not|fails?|failed|requires?|must|turn on) (?:\S+ ){0,3}authenticat",
    r"\bsmtp auth",
    r"\bsasl\b",
    r"\bsender(?:'s)? (?:\S+ ){0,3}(?:reject|denied|refused|verif|not |unknown|invalid|blocked|listed)",
    r"\b(?:invalid|unknown|rejected|bad|unverified) sender",
    r"\bsenders? (?:not|domain)",
    r"\bdomain of sender",
    r"\bverification failed for",
    r"\bsending (?:ip|domain|server|host|mta|mail ?server)",
    r"\bmail ?from\b (?:\S+ ){0,4}(?:reject|refused|not |denied|listed|invalid)",
    r"\bmailfrom",
    r"\bpurported responsible",
    r"\b(?:email )?address is not verified",
    r"\bsend(?:ing)? (?:as|on behalf)",
    r"\bsender policy",
    r"\b(?:not (?:allowed|permitted|authori[sz]ed)|permission) to send",
    r"\bonly authenticated",
    r"\bhelo\b|\bstarttls\b",
    # Whose machine it comes from.
    r"\breputation\b",
    r"\bblack-?list",
    r"\bblock-?list",
    r"\bdeny-?list",
    r"\bdnsbl",
    r"\brbl\b",
    r"\bspamhaus",
    r"\bspamcop",
    r"\bsorbs\b",
    r"\bblocked (?:using|by|for|ip)",
    r"\bbanned\b",
    r"\bclient (?:\S+ ){0,2}(?:reject|blocked|denied|not allowed)",
    r"\byour (?:\S+ )?(?:ip|network|server|isp|mail ?server)\b",
    r"\b(?:ip|network)(?: \S+){0,5} (?:blocked|rejected|denied|not allowed|not permitted|listed|refused|bloque\w*)",
    r"\bmessages? from (?:\S+ ){1,3}(?:were|are|was|not|temporarily)",
    r"\bnot accept\w* (?:mail|messages|connections?) from",
    r"\bconnections? not accepted",
    r"\bptr\b",
    r"\breverse[ -]?(?:dns|lookup|name)",
    r"\brdns\b",
    r"\bname lookup failed",
    r"\bmismatche?s client",
    r"\binvalid domain name",
    r"\bmay not be mail exchanger",
    r"\bcannot find your",
    r"\binvalid ip for",
    # What it may hand on, how much and how often.
    r"\brelay(?:ing)? (?:access )?(?:denied|not|prohibited|quota)",
    r"\bable to relay",
    r"\bto relay\b",
    r"\bno relaying",
    r"\bopen relay",
    r"\bnot accepting connections",
    r"\brcpthosts",
    r"\btoo many (?:\S+ )?(?:recipients|connections|messages|mails)",
    r"\brate[ -]?limit",
    r"\bfrequency limit",
    r"\bunexpected volume",
    r"\bsending limit",
    r"\b(?:message|mail|e-?mail|size|headers?|line)\b(?: \S+){0,5} (?:too (?:large|big|long)|exceed\w*|limit exceeded)",
    r"\bexceed\w* (?:\S+ ){0,4}(?:message|inbound|incoming|attachment) (?:\S+ )?size",
    r"\bmaximum message size",
    r"\b(?:bericht|e-?mail|mail|bijlage)(?: \S+){0,4} te groot",
    r"\bsizelimit",
    # What it says, and how.
    r"\b(?:message|e-?mail|mail|content|attachment)s?\b(?: \S+){0,4} (?:blocked|quarantined|discarded)",
    r"\bspam",
    r"\bube\b",
    r"\bunsolicited",
    r"\bbulk (?:e-?)?mail",
    r"\bvirus",
    r"\battachments? (?:type )?(?:\S+ )?(?:not|forbidden|blocked)|\bforbidden attachment",
    r"\bmalware",
    r"\bphish",
    r"\bpolic(?:y|ies)\b",
    r"\bsecurity (?:\S+ )?(?:polic|reason|check|violat)",
    r"\bcontent (?:\S+ ){0,2}(?:reject|blocked|error|denied|presents|not)",
    r"\bprotocol (?:violation|error)",
    r"\bheader error",
    r"\brfc[ -]?\d{4}\b",
    r"\bduplicate header",
    r"\bmultiple addresses in",
    r"\bimproper (?:use|sequence)",
    r"\bnot implemented",
    r"\bno resent-from",
    r"\bmail rejete",
    r"\bmedia error",
)
"""The mail was refused because of who sent it, from where, what it is, or how it was sent."""

DOMAIN: Final = _any(
    r"\b(?:host|domain)(?: [^\s:]+){0,5} (?:not found|unknown|not exist|does ?n[o']t exist)",
    r"\b(?:host|domain)(?: [^\s:]+){0,3} could ?n[o']t be found",
    r"\bunknown (?:host|domain)",
    r"\bno such (?:host|domain)",
    r"\bnxdomain",
    r"\bnon-?existent (?:host|domain)",
    r"\bunroute?able",
    r"\bunresolvable",
    r"\bcould ?n[o']t find any (?:host|domain)",
    r"\bcould ?n[o']t find an? mail exchanger",
    r"\bno mx (?:record )?found",
    r"\bnull mx",
    r"\bno relevant answers",
    r"\bdoes ?n[o']t (?:accept|receive) (?:e-?)?mail\b",
    r"\bno smtp service$",
    r"\bindicated no smtp service",
    r"\bbad destination (?:system|host)",
    r"\b(?:illegal|invalid) (?:host|domain|host/domain)\b",
    r"\bdomain is not reachable",
    r"\bdomein (?:\S+ ){0,3}(?:niet gevonden|bestaat niet)",
    r"\bdomein (?:\S+ ){0,4}niet worden gevonden",
    r"\bonbekend domein",
)
"""There is no such domain, or none that takes mail."""

NOBODY: Final = _any(
    rf"\b(?:unknown|invalid|no such|illegal|non-?existent|bad destination|undeliverable) (?:\S+ (?:or )?)?{_WHO}\b",
    rf"\b{_WHO}s?\b(?: \S+){{0,6}} (?:unknown|invalid|is wrong|non-?existent)",
    rf"\b{_WHO}s?\b(?: \S+){{0,6}} not (?:known|found|exist|listed|recogni[sz]ed|valid|local)",
    rf"\b{_WHO}s?\b(?: \S+){{0,6}} (?:does ?n[o']t exist|could ?n[o']t be found|was ?n[o']t found|bestaat niet)",
    r"\buser unknown",
    r"\bunknown user",
    r"\baddressee unknown",
    r"\bunknown or illegal",
    r"\bunknown local",
    r"\bno (?:mail ?box|account) (?:here|by (?:that|this) name)",
    rf"\b{_WHO}\b(?: \S+){{0,3}} not registered",
    r"\bno such person",
    r"\brecipnotfound",
    r"\brecipientnotfound",
    r"\bnot our (?:user|customer)",
    r"\bnot a (?:valid|known) (?:\S+ )?(?:user|recipient|mailbox)",
    r"\bnot listed in",
    r"\bnot in (?:our|the) directory",
    r"\bdoes ?n[o']t have an? (?:\S+ ){1,2}account",
    r"\bno longer (?:on server|valid|exist|in use|available|active|with us|employed)",
    r"\bhas moved\b",
    r"\bno valid recipients? for",
    rf"\b{_WHO}\b(?: \S+){{0,3}} (?:has been |was |is )?(?:deleted|removed|terminated|closed|discontinued)\b",
    r"\ball recipient addresses rejected",
    r"\brecipient address(?:es)? rejected ?:? ?access denied",
    r"\bfinal delivery userid",
    # Dutch, German, French, Spanish and Italian.
    r"\bonbekende? (?:gebruiker|ontvanger|geadresseerde|(?:e-?mail|mail)?adres)",
    r"\bgeen (?:dergelijke|zulke|bestaande) (?:gebruiker|ontvanger|mailbox)",
    r"\bgeen (?:mailbox|account|gebruiker) met (?:deze|die) naam",
    r"\bniet gevonden bij\b",
    r"\b(?:gebruiker|ontvanger|geadresseerde|(?:e-?mail|mail)?adres)(?: \S+){0,6} niet worden gevonden",
    r"\b(?:gebruiker|ontvanger|geadresseerde|(?:e-?mail|mail)?adres|mailbox|postvak)(?: \S+){0,4} "
    r"(?:onbekend|ongeldig|bestaat niet|niet (?:gevonden|bekend|bestaat))",
    r"\bunbekannter (?:empfanger|benutzer)",
    r"\b(?:empfanger|benutzer|adresse)(?: \S+){0,3} (?:unbekannt|existiert nicht|nicht gefunden|ungultig)",
    r"\b(?:utilisateur|destinataire|adresse)(?: \S+){0,5} (?:inconnue?|invalide|n'existe pas|introuvable)",
    r"\b(?:usuario|destinatario|direccion|indirizzo)(?: \S+){0,4} (?:desconocido|sconosciuto|no existe|inesistente)",
)
"""There is no such mailbox."""

PASSES: Final = _any(
    r"\btemporar",
    r"\btry (?:again |it )?later",
    r"\bgrey-?list",
    r"\bgreylist",
    r"\bdeferred\b",
    r"\bmay not exist",
    r"\bpossibly\b",
)
"""It may pass, whatever it is."""

PROBABLY: Final = _any(
    r"\bmail ?box (?:is )?(?:unavailable|not available)",
    r"\b(?:recipient )?address rejected\W*(?:$|\(?in reply to rcpt|\w+$)",
    r"\bdoes not like recipient\W*$",
    r"\brecipient (?:\S+ )?(?:was )?rejected\W*$",
)
"""What mostly stands for no such mailbox, and sometimes for something else."""

ACCOUNT: Final = _any(
    r"\bdoes ?n[o']t have an? (?:\S+ ){1,2}account",
    r"\baccount\b(?: \S+){0,6} does ?n[o']t exist",
)
"""Who says that there is no such mailbox has looked for the account."""
