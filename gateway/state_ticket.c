/*
 * state_ticket.c: the part of state.h about answers that take a while.
 *
 * A ticket has two owners: the control thread, whose request waits, and whoever brings the answer. Who lets
 * go of it first leaves a word in `fate`; the other one finds it, and frees the ticket. The answer itself is
 * only the control thread's, who is also the only one to finish a ticket.
 */
#include <stdlib.h>

#include "gateway/state.h"

bool state_collect(struct state_ticket *ticket, struct state_answer *answer)
{
    /* acquire: the partner is state_lose, whose thread writes nothing more */
    if (atomic_load_explicit(&ticket->fate, memory_order_acquire) == STATE_TICKET_LOST)
        *answer = (struct state_answer){.status = 503};
    else if (ticket->is_finished)
        *answer = ticket->answer;
    else
        return false;
    free(ticket);
    return true;
}

void state_abandon(struct state_ticket *ticket)
{
    if (ticket->is_finished) {
        free(ticket->answer.json);
        free(ticket);
        return;
    }
    if (ticket->give_up)
        ticket->give_up(ticket);
    /* acq_rel: the partner is the exchange of state_lose; the second one of the two frees */
    if (atomic_exchange_explicit(&ticket->fate, STATE_TICKET_ABANDONED, memory_order_acq_rel) ==
        STATE_TICKET_LOST)
        free(ticket);
}

void state_finish(struct state_ticket *ticket, struct state_answer answer)
{
    ticket->answer = answer;
    ticket->is_finished = true;
    if (atomic_load_explicit(&ticket->fate, memory_order_relaxed) == STATE_TICKET_ABANDONED)
        state_abandon(ticket);
}

void state_lose(struct state_ticket *ticket)
{
    if (atomic_exchange_explicit(&ticket->fate, STATE_TICKET_LOST, memory_order_acq_rel) ==
        STATE_TICKET_ABANDONED)
        free(ticket);
}
