"""The words of delivery reports, by language: what happened, and what the sender can do.

Built in are English, German, French and Spanish. An administrator replaces any
text, also for further languages, for a status code, a class of them or an
occasion (``directory.settings.DsnText``). Of several the narrowest is taken, an
administrator's before ours; a language that has no words for something says it
in English.

Source: exchange-behaviour QU-9, QU-10; RFC 3463 for the codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from holdfast.directory.model import DsnText

DEFAULT_LANGUAGE = "en"
LANGUAGE_COUNT_MAX = 20  # of one header field
_LANGUAGE = re.compile(
    r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4})(?:\s*;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?"
)

# What stands around the explanations. ``{}`` in a subject is the subject of the original.
_FRAMES: dict[str, dict[str, str]] = {
    "en": {
        "subject failed": "Undeliverable: {}",
        "subject delayed": "Delayed: {}",
        "subject delivered": "Delivered: {}",
        "subject relayed": "Relayed: {}",
        "subject expanded": "Expanded: {}",
        "failed": "Your message could not be delivered to:",
        "delayed": "Your message has not been delivered yet to:",
        "delivered": "Your message was delivered to:",
        "relayed": "Your message was handed on for:",
        "expanded": "Your message was distributed to the members of:",
        "until": "Tries go on until:",
        "subject": "Subject:",
        "sent": "Received:",
    },
    "de": {
        "subject failed": "Unzustellbar: {}",
        "subject delayed": "Verzögert: {}",
        "subject delivered": "Zugestellt: {}",
        "subject relayed": "Weitergeleitet: {}",
        "subject expanded": "Verteilt: {}",
        "failed": "Ihre Nachricht konnte nicht zugestellt werden an:",
        "delayed": "Ihre Nachricht wurde noch nicht zugestellt an:",
        "delivered": "Ihre Nachricht wurde zugestellt an:",
        "relayed": "Ihre Nachricht wurde weitergegeben für:",
        "expanded": "Ihre Nachricht wurde verteilt an die Mitglieder von:",
        "until": "Weitere Versuche bis:",
        "subject": "Betreff:",
        "sent": "Angenommen:",
    },
    "fr": {
        "subject failed": "Non remis : {}",
        "subject delayed": "Retardé : {}",
        "subject delivered": "Remis : {}",
        "subject relayed": "Relayé : {}",
        "subject expanded": "Diffusé : {}",
        "failed": "Votre message n'a pas pu être remis à :",
        "delayed": "Votre message n'a pas encore été remis à :",
        "delivered": "Votre message a été remis à :",
        "relayed": "Votre message a été transmis pour :",
        "expanded": "Votre message a été diffusé aux membres de :",
        "until": "Nouvelles tentatives jusqu'au :",
        "subject": "Objet :",
        "sent": "Reçu :",
    },
    "es": {
        "subject failed": "No entregado: {}",
        "subject delayed": "Retrasado: {}",
        "subject delivered": "Entregado: {}",
        "subject relayed": "Retransmitido: {}",
        "subject expanded": "Distribuido: {}",
        "failed": "No se pudo entregar su mensaje a:",
        "delayed": "Su mensaje todavía no se ha entregado a:",
        "delivered": "Su mensaje se entregó a:",
        "relayed": "Su mensaje se transmitió para:",
        "expanded": "Su mensaje se distribuyó a los miembros de:",
        "until": "Se seguirá intentando hasta:",
        "subject": "Asunto:",
        "sent": "Recibido:",
    },
}

_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "delayed": "The server that takes the recipient's mail cannot be reached, or does not take the "
        "message now. It is tried again. You need not send it again; you will be told if it fails in the "
        "end.",
        "delivered": "It is in the recipient's mailbox. That does not mean that it was read.",
        "relayed": "The next server has taken it. That server sends no reports, so there will be no "
        "further one unless the delivery fails.",
        "expanded": "The address is a group. Its members get the message; there will be no report for each.",
        "4": "It was tried several times, and the recipient's server could not take it. Please send the "
        "message again later. If that fails too, tell the recipient by another way.",
        "4.3.1": "The recipient's server was short of room. Please send the message again later.",
        "4.4.1": "The recipient's server did not answer. Check the part after the @ of the address. If it "
        "is right, send the message again later.",
        "4.4.2": "The connection to the recipient's server broke again and again. Please send the message "
        "again later; if it has large attachments, try without them.",
        "4.4.7": "It was tried for a long time, and the recipient's server did not take it. Check the "
        "address. If it is right, send the message again later or reach the recipient by another way.",
        "5": "The recipient's server refused it, and trying again would not change that. The technical "
        "details below say more; your administrator can help with them.",
        "5 ours": "It cannot be delivered, and trying again would not change that. The technical details "
        "below say why; your administrator can help with them.",
        "5.1": "The address cannot be used. Check it, and send the message again.",
        "5.1.1": "There is no such address. Check it for typing errors, or choose the recipient from your "
        "address book anew, and send the message again.",
        "5.1.2": "The part after the @ of the address cannot receive mail. Check it for typing errors.",
        "5.1.3": "The address is not written correctly. It should look like name@example.com.",
        "5.1.10": "The domain of this address does not receive mail. Ask the recipient for another address.",
        "5.2.1": "The mailbox is switched off. Reach the recipient by another way.",
        "5.2.2": "The recipient's mailbox is full. Let the recipient know, and send the message again when "
        "there is room.",
        "5.2.3": "The message is larger than the recipient may receive. Send it with smaller attachments, "
        "or put the files where the recipient can fetch them.",
        "5.3.4": "The message is too large for the way to the recipient. Send it with smaller attachments, "
        "or in several messages.",
        "5.4.4": "No server was found that takes mail for this address. Check the part after the @ for "
        "typing errors.",
        "5.4.6": "The message went round in circles between servers. That is not your mistake: please tell "
        "your administrator, with the details below.",
        "5.5.3": "The message has too many recipients. Send it to fewer at a time.",
        "5.6": "The recipient's server could not handle the form of the message. Send it as plain text and "
        "without unusual attachments.",
        "5.7": "The recipient's server does not take this message for reasons of security. Your "
        "administrator can find out why from the details below.",
        "5.7.1": "You may not send to this recipient, or the recipient's server took the message for "
        "unwanted mail. Ask the recipient, or your administrator, with the details below.",
    },
    "de": {
        "delayed": "Der Server, der die Post des Empfängers annimmt, ist nicht erreichbar oder nimmt die "
        "Nachricht zurzeit nicht an. Es wird weiter versucht. Sie müssen sie nicht noch einmal senden; "
        "misslingt es endgültig, erhalten Sie Bescheid.",
        "delivered": "Sie liegt im Postfach des Empfängers. Das heißt nicht, dass sie gelesen wurde.",
        "relayed": "Der nächste Server hat sie angenommen. Er verschickt keine Berichte; Sie hören nur "
        "noch davon, wenn die Zustellung misslingt.",
        "expanded": "Die Adresse ist eine Gruppe. Ihre Mitglieder erhalten die Nachricht; einzelne "
        "Berichte gibt es dafür nicht.",
        "4": "Es wurde mehrmals versucht, und der Server des Empfängers konnte sie nicht annehmen. Bitte "
        "senden Sie die Nachricht später noch einmal. Misslingt auch das, verständigen Sie den Empfänger "
        "auf anderem Weg.",
        "4.3.1": "Dem Server des Empfängers fehlte Platz. Bitte senden Sie die Nachricht später noch einmal.",
        "4.4.1": "Der Server des Empfängers antwortete nicht. Prüfen Sie den Teil der Adresse nach dem @. "
        "Ist er richtig, senden Sie die Nachricht später noch einmal.",
        "4.4.2": "Die Verbindung zum Server des Empfängers brach immer wieder ab. Bitte senden Sie die "
        "Nachricht später noch einmal; hat sie große Anlagen, versuchen Sie es ohne sie.",
        "4.4.7": "Es wurde lange versucht, und der Server des Empfängers nahm sie nicht an. Prüfen Sie die "
        "Adresse. Ist sie richtig, senden Sie die Nachricht später noch einmal oder erreichen Sie den "
        "Empfänger auf anderem Weg.",
        "5": "Der Server des Empfängers hat sie abgelehnt, und ein neuer Versuch würde daran nichts "
        "ändern. Mehr sagen die technischen Angaben unten; Ihr Administrator kann damit weiterhelfen.",
        "5 ours": "Sie kann nicht zugestellt werden, und ein neuer Versuch würde daran nichts ändern. Warum, "
        "sagen die technischen Angaben unten; Ihr Administrator kann damit weiterhelfen.",
        "5.1": "Die Adresse kann nicht verwendet werden. Prüfen Sie sie und senden Sie die Nachricht noch "
        "einmal.",
        "5.1.1": "Diese Adresse gibt es nicht. Prüfen Sie sie auf Tippfehler oder wählen Sie den Empfänger "
        "neu aus Ihrem Adressbuch und senden Sie die Nachricht noch einmal.",
        "5.1.2": "Der Teil der Adresse nach dem @ kann keine Post empfangen. Prüfen Sie ihn auf Tippfehler.",
        "5.1.3": "Die Adresse ist nicht richtig geschrieben. Sie sieht aus wie name@example.com.",
        "5.1.10": "Die Domäne dieser Adresse empfängt keine Post. Fragen Sie den Empfänger nach einer "
        "anderen Adresse.",
        "5.2.1": "Das Postfach ist abgeschaltet. Erreichen Sie den Empfänger auf anderem Weg.",
        "5.2.2": "Das Postfach des Empfängers ist voll. Verständigen Sie ihn und senden Sie die Nachricht "
        "noch einmal, wenn wieder Platz ist.",
        "5.2.3": "Die Nachricht ist größer, als der Empfänger empfangen darf. Senden Sie sie mit kleineren "
        "Anlagen oder legen Sie die Dateien dorthin, wo der Empfänger sie abholen kann.",
        "5.3.4": "Die Nachricht ist zu groß für den Weg zum Empfänger. Senden Sie sie mit kleineren "
        "Anlagen oder auf mehrere Nachrichten verteilt.",
        "5.4.4": "Es wurde kein Server gefunden, der Post für diese Adresse annimmt. Prüfen Sie den Teil "
        "nach dem @ auf Tippfehler.",
        "5.4.6": "Die Nachricht lief zwischen Servern im Kreis. Das ist nicht Ihr Fehler: Bitte "
        "verständigen Sie Ihren Administrator mit den Angaben unten.",
        "5.5.3": "Die Nachricht hat zu viele Empfänger. Senden Sie sie an weniger auf einmal.",
        "5.6": "Der Server des Empfängers kann die Nachricht in dieser Form nicht verarbeiten. Senden Sie "
        "sie als reinen Text und ohne ungewöhnliche Anlagen.",
        "5.7": "Der Server des Empfängers nimmt diese Nachricht aus Gründen der Sicherheit nicht an. Ihr "
        "Administrator kann den Grund den Angaben unten entnehmen.",
        "5.7.1": "Sie dürfen an diesen Empfänger nicht senden, oder sein Server hielt die Nachricht für "
        "unerwünschte Werbung. Fragen Sie den Empfänger oder, mit den Angaben unten, Ihren Administrator.",
    },
    "fr": {
        "delayed": "Le serveur qui reçoit le courrier du destinataire est injoignable ou n'accepte pas le "
        "message pour le moment. Les tentatives continuent. Il est inutile de le renvoyer ; vous serez "
        "averti en cas d'échec définitif.",
        "delivered": "Il se trouve dans la boîte aux lettres du destinataire. Cela ne signifie pas qu'il a "
        "été lu.",
        "relayed": "Le serveur suivant l'a accepté. Ce serveur n'envoie pas de rapports : vous n'en "
        "recevrez un autre qu'en cas d'échec.",
        "expanded": "Cette adresse est un groupe. Ses membres reçoivent le message ; il n'y aura pas de "
        "rapport pour chacun d'eux.",
        "4": "Plusieurs tentatives ont eu lieu et le serveur du destinataire n'a pas pu l'accepter. "
        "Renvoyez le message plus tard. En cas de nouvel échec, prévenez le destinataire autrement.",
        "4.3.1": "Le serveur du destinataire manquait de place. Renvoyez le message plus tard.",
        "4.4.1": "Le serveur du destinataire n'a pas répondu. Vérifiez la partie de l'adresse après le @. "
        "Si elle est juste, renvoyez le message plus tard.",
        "4.4.2": "La connexion avec le serveur du destinataire s'est rompue à plusieurs reprises. Renvoyez "
        "le message plus tard ; s'il a de grosses pièces jointes, essayez sans elles.",
        "4.4.7": "Les tentatives ont duré longtemps et le serveur du destinataire ne l'a pas accepté. "
        "Vérifiez l'adresse. Si elle est juste, renvoyez le message plus tard ou joignez le destinataire "
        "autrement.",
        "5": "Le serveur du destinataire l'a refusé et une nouvelle tentative n'y changerait rien. Les "
        "indications techniques ci-dessous en disent plus ; votre administrateur peut vous aider.",
        "5 ours": "Il ne peut pas être remis et une nouvelle tentative n'y changerait rien. Les indications "
        "techniques ci-dessous disent pourquoi ; votre administrateur peut vous aider.",
        "5.1": "L'adresse ne peut pas être utilisée. Vérifiez-la et renvoyez le message.",
        "5.1.1": "Cette adresse n'existe pas. Vérifiez qu'elle ne contient pas de faute de frappe, ou "
        "choisissez de nouveau le destinataire dans votre carnet d'adresses, puis renvoyez le message.",
        "5.1.2": "La partie de l'adresse après le @ ne peut pas recevoir de courrier. Vérifiez-la.",
        "5.1.3": "L'adresse n'est pas écrite correctement. Elle doit ressembler à nom@example.com.",
        "5.1.10": "Le domaine de cette adresse ne reçoit pas de courrier. Demandez une autre adresse au "
        "destinataire.",
        "5.2.1": "La boîte aux lettres est désactivée. Joignez le destinataire autrement.",
        "5.2.2": "La boîte aux lettres du destinataire est pleine. Prévenez-le et renvoyez le message "
        "quand il y aura de la place.",
        "5.2.3": "Le message dépasse la taille que le destinataire peut recevoir. Envoyez-le avec des "
        "pièces jointes plus petites, ou déposez les fichiers là où le destinataire peut les prendre.",
        "5.3.4": "Le message est trop volumineux pour parvenir au destinataire. Envoyez-le avec des pièces "
        "jointes plus petites, ou en plusieurs messages.",
        "5.4.4": "Aucun serveur n'a été trouvé qui reçoive le courrier de cette adresse. Vérifiez la "
        "partie après le @.",
        "5.4.6": "Le message tournait en rond entre des serveurs. Ce n'est pas votre faute : prévenez "
        "votre administrateur et donnez-lui les indications ci-dessous.",
        "5.5.3": "Le message a trop de destinataires. Envoyez-le à moins de personnes à la fois.",
        "5.6": "Le serveur du destinataire ne peut pas traiter le message sous cette forme. Envoyez-le en "
        "texte simple et sans pièces jointes inhabituelles.",
        "5.7": "Le serveur du destinataire n'accepte pas ce message pour des raisons de sécurité. Votre "
        "administrateur peut en trouver la cause dans les indications ci-dessous.",
        "5.7.1": "Vous n'avez pas le droit d'écrire à ce destinataire, ou son serveur a pris le message "
        "pour du courrier indésirable. Renseignez-vous auprès du destinataire ou de votre administrateur, "
        "avec les indications ci-dessous.",
    },
    "es": {
        "delayed": "No se puede contactar con el servidor que recibe el correo del destinatario, o no "
        "acepta el mensaje por ahora. Se seguirá intentando. No hace falta que lo envíe de nuevo; se le "
        "avisará si al final no se consigue.",
        "delivered": "Está en el buzón del destinatario. Eso no significa que se haya leído.",
        "relayed": "El siguiente servidor lo ha aceptado. Ese servidor no envía informes; solo recibirá "
        "otro si la entrega falla.",
        "expanded": "La dirección es un grupo. Sus miembros reciben el mensaje; no habrá un informe por "
        "cada uno.",
        "4": "Se intentó varias veces y el servidor del destinatario no pudo aceptarlo. Envíe el mensaje "
        "de nuevo más tarde. Si tampoco se consigue, avise al destinatario por otro medio.",
        "4.3.1": "Al servidor del destinatario le faltaba espacio. Envíe el mensaje de nuevo más tarde.",
        "4.4.1": "El servidor del destinatario no respondió. Compruebe la parte de la dirección después de "
        "la @. Si es correcta, envíe el mensaje de nuevo más tarde.",
        "4.4.2": "La conexión con el servidor del destinatario se cortó una y otra vez. Envíe el mensaje "
        "de nuevo más tarde; si tiene archivos adjuntos grandes, pruebe sin ellos.",
        "4.4.7": "Se intentó durante mucho tiempo y el servidor del destinatario no lo aceptó. Compruebe "
        "la dirección. Si es correcta, envíe el mensaje de nuevo más tarde o contacte con el destinatario "
        "por otro medio.",
        "5": "El servidor del destinatario lo rechazó y volver a intentarlo no lo cambiaría. Los datos "
        "técnicos de abajo dicen más; su administrador puede ayudarle con ellos.",
        "5 ours": "No se puede entregar y volver a intentarlo no lo cambiaría. Los datos técnicos de abajo "
        "dicen por qué; su administrador puede ayudarle con ellos.",
        "5.1": "La dirección no se puede usar. Compruébela y envíe el mensaje de nuevo.",
        "5.1.1": "Esta dirección no existe. Compruebe que no tenga errores de escritura, o elija de nuevo "
        "al destinatario en su libreta de direcciones, y envíe el mensaje otra vez.",
        "5.1.2": "La parte de la dirección después de la @ no puede recibir correo. Compruébela.",
        "5.1.3": "La dirección no está bien escrita. Debe parecerse a nombre@example.com.",
        "5.1.10": "El dominio de esta dirección no recibe correo. Pida otra dirección al destinatario.",
        "5.2.1": "El buzón está desactivado. Contacte con el destinatario por otro medio.",
        "5.2.2": "El buzón del destinatario está lleno. Avísele y envíe el mensaje de nuevo cuando haya "
        "espacio.",
        "5.2.3": "El mensaje es más grande de lo que el destinatario puede recibir. Envíelo con archivos "
        "adjuntos más pequeños, o deje los archivos donde el destinatario pueda recogerlos.",
        "5.3.4": "El mensaje es demasiado grande para llegar al destinatario. Envíelo con archivos "
        "adjuntos más pequeños, o repartido en varios mensajes.",
        "5.4.4": "No se encontró ningún servidor que reciba el correo de esta dirección. Compruebe la "
        "parte después de la @.",
        "5.4.6": "El mensaje daba vueltas entre servidores. No es culpa suya: avise a su administrador y "
        "dele los datos de abajo.",
        "5.5.3": "El mensaje tiene demasiados destinatarios. Envíelo a menos a la vez.",
        "5.6": "El servidor del destinatario no puede tratar el mensaje en esta forma. Envíelo como texto "
        "simple y sin archivos adjuntos poco comunes.",
        "5.7": "El servidor del destinatario no acepta este mensaje por razones de seguridad. Su "
        "administrador puede averiguar la causa en los datos de abajo.",
        "5.7.1": "No tiene permiso para escribir a este destinatario, o su servidor tomó el mensaje por "
        "correo no deseado. Pregunte al destinatario o, con los datos de abajo, a su administrador.",
    },
}

BUILT_IN_LANGUAGES = tuple(_TEXTS)


def read_languages(value: str) -> list[str]:
    """Read an Accept-Language or Content-Language field: its languages, the preferred ones first.

    What is not a language is passed over. Source: RFC 3282 sections 2 and 3.
    """
    found: list[tuple[float, str]] = []
    for part in value.split(",", LANGUAGE_COUNT_MAX)[:LANGUAGE_COUNT_MAX]:
        match = _LANGUAGE.fullmatch(part.strip())
        if match is not None and (weight := float(match[2] or 1)) > 0:
            found.append((-weight, match[1]))
    found.sort(key=lambda pair: pair[0])
    return [language for _, language in found]


@dataclass(frozen=True, slots=True)
class DsnWords:
    """The words of one language, those of the administrator included.

    Attributes:
        language: as it is said in the report.
    """

    language: str
    _own: dict[str, str]

    def frame(self, name: str) -> str:
        """A label or heading: an action, ``subject`` and an action, ``until``, ``subject`` or ``sent``."""
        return (_FRAMES.get(_primary(self.language)) or _FRAMES[DEFAULT_LANGUAGE])[name]

    def explanation(self, action: str, status: str, *, ours: bool = False) -> str:
        """What happened and what to do.

        Args:
            action: ``failed``, or one of ``delayed``, ``delivered``, ``relayed`` and ``expanded``.
            status: enhanced status code; counts where the action is ``failed``.
            ours: no other server refused it: the judgement is this one's.
        """
        keys = _keys_of(status) if action == "failed" else [action]
        if ours and keys[-1] == "5":
            keys.insert(-1, "5 ours")
        tags = [self.language.lower(), _primary(self.language)]
        for tag in tags:
            for key in keys:
                if own := self._own.get(f"{tag} {key}"):
                    return own
        for texts in (_TEXTS.get(tags[1], {}), _TEXTS[DEFAULT_LANGUAGE]):
            for key in keys:
                if key in texts:
                    return texts[key]
        raise AssertionError(f"no words for {action} {status}")


def choose_words(wanted: Iterable[str], own: Iterable[DsnText]) -> DsnWords:
    """Take the first of the wanted languages that there are words for, else English.

    Args:
        wanted: languages, the preferred one first; empty ones are passed over.
        own: the administrator's texts.
    """
    by_name = {text.name.lower(): text.text for text in own}
    known = {name.partition(" ")[0] for name in by_name} | set(BUILT_IN_LANGUAGES)
    for language in wanted:
        if language.lower() in known or _primary(language) in known:
            return DsnWords(language, by_name)
    return DsnWords(DEFAULT_LANGUAGE, by_name)


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()


def _keys_of(status: str) -> list[str]:
    """The code, its subject and its class: ``5.1.1``, ``5.1``, ``5``."""
    return list(_narrowing(status))


def _narrowing(status: str) -> Iterator[str]:
    parts = status.split(".")
    for count in range(len(parts), 0, -1):
        yield ".".join(parts[:count])
