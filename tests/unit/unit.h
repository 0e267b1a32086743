/* unit.h: the main function of every unit test program. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdlib.h>

/* Runs the suite that MAKE_SUITE gives, in this process unless CK_FORK=yes; exits non-zero when a test fails.
 */
#define UNIT_MAIN(make_suite)                                                                                \
    int main(void)                                                                                           \
    {                                                                                                        \
        SRunner *runner = srunner_create(make_suite());                                                      \
        if (!getenv("CK_FORK"))                                                                              \
            srunner_set_fork_status(runner, CK_NOFORK);                                                      \
        srunner_run_all(runner, CK_NORMAL);                                                                  \
        int failed = srunner_ntests_failed(runner);                                                          \
        srunner_free(runner);                                                                                \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                                         \
    }

#endif
