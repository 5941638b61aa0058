/*
 * roost_guard: what a member's Postgres must not do, although Postgres itself would.
 *
 * 1. A commit that waits for its standbys waits until they have it, whoever cancels it or ends its session.
 * 2. Who may not do so by a grant does not lower synchronous_commit.
 * 3. Statements that would end the standbys, or lock the supervisor out, are refused.
 *
 * Loaded by shared_preload_libraries. It has no objects in any database. The names of files and functions in the
 * comments are those of the sources of PostgreSQL 17, where what is said was read.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_parameter_acl.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

PG_MODULE_MAGIC;

/* As in PostgresSettings.swift. */
#define SUPERVISOR "roost"
#define REPLICATOR "roost_replicator"
#define SUPERVISORS_DATABASE "postgres"

/* --- 1. Waits ------------------------------------------------------------------------------------------------- */

/*
 * SyncRepWaitForLSN (syncrep.c) ends a wait when it finds QueryCancelPending or ProcDiePending. The transaction then
 * counts as committed and everybody sees it, although no standby has it. Only the handlers of two signals set those
 * words, so while a transaction commits, the handlers here keep the signals back, and hand them on when it has.
 */
typedef struct
{
	int			number;
	struct sigaction former;	/* of Postgres */
	volatile sig_atomic_t is_kept;
} KeptSignal;

static KeptSignal kept_signals[] = {{.number = SIGINT}, {.number = SIGTERM}};

static volatile sig_atomic_t is_committing = false;

static void
hand_on(KeptSignal *kept)
{
	if (kept->former.sa_handler != SIG_IGN && kept->former.sa_handler != SIG_DFL)
		kept->former.sa_handler(kept->number);
}

/*
 * A SIGTERM of the postmaster is the server's end (PostmasterStateMachine, postmaster.c), which must not wait for
 * standbys that are away. It goes through at once: the session is told of no success (syncrep.c shuts its output off),
 * and those who could see the commit are being ended too.
 *
 * A cancel that comes during the wait is used up by it, as Postgres does it: the client that has a commit confirmed is
 * not told of an error after it, such as that of a statement_timeout.
 */
static void
on_signal(int number, siginfo_t *facts, void *context)
{
	KeptSignal *kept = number == SIGINT ? &kept_signals[0] : &kept_signals[1];
	bool		is_servers_end = number == SIGTERM && facts->si_code == SI_USER && facts->si_pid == PostmasterPid;

	/* A program that this process forked has not run exec yet: the handler of Postgres sees to it (pqsignal.c). */
	if (!is_committing || is_servers_end || getpid() != MyProcPid)
		hand_on(kept);
	else if (number == SIGTERM || MyProc->syncRepState != SYNC_REP_WAITING)
		kept->is_kept = true;
}

/*
 * Whoever has a client. In these both signals only set words (die and StatementCancelHandler, postgres.c), and may come
 * late. Others tell nobody of success: autovacuum confirms locally (autovacuum.c), a subscription goes by what is on
 * disk here (get_flush_position, worker.c), and parallel workers commit nothing.
 */
static bool
has_client(void)
{
	return AmRegularBackendProcess() || AmWalSenderProcess();
}

/* A process sets its handlers up before its first transaction; should it do so later too, ours go in front again. */
static void
take_signal(KeptSignal *kept)
{
	struct sigaction current;
	struct sigaction ours = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};

	sigemptyset(&ours.sa_mask);
	if (sigaction(kept->number, NULL, &current) != 0)
		elog(ERROR, "could not read the handler of signal %d: %m", kept->number);
	if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_signal)
		return;
	kept->former = current;
	if (sigaction(kept->number, &ours, NULL) != 0)
		elog(ERROR, "could not set the handler of signal %d: %m", kept->number);
}

static void
keep_signals(void)
{
	if (!has_client())
		return;
	for (int i = 0; i < lengthof(kept_signals); i++)
		take_signal(&kept_signals[i]);
	is_committing = true;
	/* What came before is in time: the transaction is rolled back. */
	CHECK_FOR_INTERRUPTS();
}

static void
release_signals(void)
{
	if (!is_committing)
		return;
	is_committing = false;
	for (int i = 0; i < lengthof(kept_signals); i++)
	{
		if (!kept_signals[i].is_kept)
			continue;
		kept_signals[i].is_kept = false;
		hand_on(&kept_signals[i]);
	}
}

/*
 * CommitTransaction and PrepareTransaction (xact.c) call this last before they write the record, after all triggers and
 * all other libraries (theirs were registered later, and are called earlier); and again when the wait is over.
 */
static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			keep_signals();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			release_signals();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}

/* --- 2. Level ------------------------------------------------------------------------------------------------- */

#define LEVEL "synchronous_commit"

/* What is set by Postgres's own processes, or before anybody has logged in, is not asked for by a client (guc.h). */
static bool
is_clients(GucSource source)
{
	return source >= PGC_S_GLOBAL && source != PGC_S_OVERRIDE;
}

/*
 * Called for every way to set it: SET, SET LOCAL, set_config, options at login, what ALTER ROLE and ALTER DATABASE
 * have stored (also before this library was there), SET of functions. Refused at login of what is stored is a warning
 * there, and an error everywhere else (set_config_with_handle, guc.c).
 *
 * A parallel worker takes over what its leader was allowed.
 */
static bool
check_level(int *value, void **extra, GucSource source)
{
	if (*value >= SYNCHRONOUS_COMMIT_REMOTE_FLUSH || !is_clients(source) || InitializingParallelWorker)
		return true;
	/* pg_parameter_acl can be read in a database only; a standby's stream is in none, and so is one that asks how far. */
	if (IsTransactionState() &&
		(superuser() || (OidIsValid(MyDatabaseId) &&
						 pg_parameter_aclcheck(LEVEL, GetUserId(), ACL_SET) == ACLCHECK_OK)))
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("permission denied to lower parameter \"%s\"", LEVEL);
	GUC_check_errdetail("A commit that does not wait for standbys is lost if this member is.");
	GUC_check_errhint("A superuser may GRANT SET ON PARAMETER %s.", LEVEL);
	return false;
}

static void
guard_level(void)
{
	struct config_generic *level = find_option(LEVEL, false, false, ERROR);

	if (level->vartype != PGC_ENUM || ((struct config_enum *) level)->check_hook != NULL)
		elog(FATAL, "parameter \"%s\" is not as this library knows it", LEVEL);
	((struct config_enum *) level)->check_hook = check_level;
}

/* --- 3. Statements -------------------------------------------------------------------------------------------- */

static bool allow_unsafe = false;

static ProcessUtility_hook_type next_utility = NULL;

static bool
is_supervisors_role(const char *name)
{
	return name != NULL && (strcmp(name, SUPERVISOR) == 0 || strcmp(name, REPLICATOR) == 0);
}

static bool
is_supervisors_role_spec(const RoleSpec *role)
{
	switch (role->roletype)
	{
		case ROLESPEC_CSTRING:
			return is_supervisors_role(role->rolename);
		case ROLESPEC_CURRENT_ROLE:
		case ROLESPEC_CURRENT_USER:
			return is_supervisors_role(GetUserNameFromId(GetUserId(), true));
		case ROLESPEC_SESSION_USER:
			return is_supervisors_role(GetUserNameFromId(GetSessionUserId(), true));
		case ROLESPEC_PUBLIC:
			return false;
	}
	return false;
}

static bool
has_supervisors_role(List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
	{
		if (is_supervisors_role_spec(lfirst_node(RoleSpec, cell)))
			return true;
	}
	return false;
}

static bool
is_supervisors_database(const char *name)
{
	return name != NULL && strcmp(name, SUPERVISORS_DATABASE) == 0;
}

/* The supervisor logs in as one role, the members as the other, and both to one database. */
static bool
could_lock_the_supervisor_out(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterRoleStmt:
			return is_supervisors_role_spec(((AlterRoleStmt *) statement)->role);
		case T_AlterRoleSetStmt:
			/* ALTER ROLE ALL SET has no role, and does not reach the supervisor. */
			return ((AlterRoleSetStmt *) statement)->role != NULL &&
				is_supervisors_role_spec(((AlterRoleSetStmt *) statement)->role);
		case T_DropRoleStmt:
			return has_supervisors_role(((DropRoleStmt *) statement)->roles);
		case T_RenameStmt:
			{
				RenameStmt *rename = (RenameStmt *) statement;

				return (rename->renameType == OBJECT_ROLE && is_supervisors_role(rename->subname)) ||
					(rename->renameType == OBJECT_DATABASE && is_supervisors_database(rename->subname));
			}
		case T_AlterDatabaseStmt:
			return is_supervisors_database(((AlterDatabaseStmt *) statement)->dbname);
		case T_DropdbStmt:
			return is_supervisors_database(((DropdbStmt *) statement)->dbname);
		default:
			return false;
	}
}

/*
 * Replay of a tablespace makes a link to the same path on the standby, where no such folder is, and replay ends with an
 * error (create_tablespace_directories, tablespace.c): every standby stops, and none can be copied. One without a path
 * (allow_in_place_tablespaces, for developers) is a folder where Postgres wants links. Members allow it, so that one from
 * before stops nobody (CheckTablespaceDirectory, xlogrecovery.c, only warns then); what copies and rewinds data is not made
 * for it, and a member whose image is older does stop.
 */
static void
refuse_tablespace(CreateTableSpaceStmt *statement)
{
	bool		has_path = statement->location != NULL && statement->location[0] != '\0';

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("tablespaces are not supported"),
			 has_path ? errdetail("The other members have no folder \"%s\": their Postgres would stop.",
								  statement->location)
			 : errdetail("Its folder would be where Postgres wants a link, which is for tests of Postgres alone.")));
}

/* Single-user mode is how a member's data is made and mended. */
static void
check_statement(Node *statement)
{
	if (!IsUnderPostmaster)
		return;
	if (IsA(statement, CreateTableSpaceStmt))
		refuse_tablespace((CreateTableSpaceStmt *) statement);
	if (!allow_unsafe && could_lock_the_supervisor_out(statement))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("roles \"%s\" and \"%s\" and database \"%s\" are the supervisor's", SUPERVISOR, REPLICATOR,
						SUPERVISORS_DATABASE),
				 errdetail("The members of this cluster log in by them."),
				 errhint("A superuser who knows better says SET roost.allow_unsafe = on first.")));
}

/* FinishPreparedTransaction (twophase.c) waits for standbys too, before its own transaction commits. */
static bool
finishes_prepared(Node *statement)
{
	if (!IsA(statement, TransactionStmt))
		return false;
	return ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED ||
		((TransactionStmt *) statement)->kind == TRANS_STMT_ROLLBACK_PREPARED;
}

static void
on_utility(PlannedStmt *planned, const char *text, bool is_read_only, ProcessUtilityContext context,
		   ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	check_statement(planned->utilityStmt);
	/*
	 * Signals are released when the transaction of the statement ends, however it does. Inside another one the statement is an
	 * error that may end a subtransaction only, so nothing is kept for it.
	 */
	if (finishes_prepared(planned->utilityStmt) && context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock())
		keep_signals();
	(next_utility ? next_utility : standard_ProcessUtility)
		(planned, text, is_read_only, context, parameters, environment, receiver, completion);
}

/* -------------------------------------------------------------------------------------------------------------- */

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("roost_guard is loaded by shared_preload_libraries only")));

	RegisterXactCallback(on_transaction, NULL);
	guard_level();
	DefineCustomBoolVariable("roost.allow_unsafe", "Lets statements through that could lock the supervisor out.", NULL,
							 &allow_unsafe, false, PGC_SUSET, 0, NULL, NULL, NULL);
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
