//! .env files, read as their readers read them and edited without touching what was not asked.
