"""Operations shared by command line, page and service: alarms, tracing, certificates, checks."""
